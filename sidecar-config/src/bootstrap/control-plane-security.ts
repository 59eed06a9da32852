import { isIpAddress } from '../envoy/address.ts'

export interface ControlPlaneTls {
  /** The roots that the control plane's certificate must lead to (PEM). */
  readonly caFile: string
  /** Names or IP addresses of which the certificate must have one. Default: the hosts of the control plane. */
  readonly names?: readonly string[]
  /** The sidecar's own certificate, with what leads to its root, and key (PEM). Both are in one folder. */
  readonly certificate?: { readonly certificateFile: string; readonly keyFile: string }
}

/** How a sidecar and its control plane know each other. All paths are absolute. */
export interface SecurityInput {
  /** Default: plain text. */
  readonly tls?: ControlPlaneTls
  /** Holds the bearer token of the sidecar. Needs `tls`, or a control plane on loopback. */
  readonly tokenFile?: string
  /**
   * `/etc/envoy/bootstrap`: Envoy reads what the files above hold by way of small files of its own, which begin
   * with this. It watches them, and so takes new certificates and tokens without a restart.
   */
  readonly secretFilePrefix?: string
}

/** A file that belongs to a bootstrap. */
export interface SecretFile {
  readonly path: string
  readonly json: Readonly<Record<string, unknown>>
}

/** Where the secrets of a bootstrap are. */
export class SecretFiles {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  path(secret: string): string {
    return `${this.#prefix}.${secret}.json`
  }

  /** A reference to a secret, as Envoy's configuration has it. */
  reference(secret: string) {
    return {
      name: secret,
      sds_config: { path_config_source: { path: this.path(secret) }, resource_api_version: 'V3' },
    }
  }
}

const secretNames = {
  ca: 'control-plane-ca',
  certificate: 'control-plane-certificate',
  token: 'control-plane-token',
}

const typeUrl = (name: string) => `type.googleapis.com/envoy.extensions.${name}`

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIpAddress(host) && host.startsWith('127.'))

/** Throws RangeError for what cannot be secure, or cannot work. */
export const checkSecurity = (
  input: SecurityInput & { readonly controlPlane: readonly { host: string }[] },
): void => {
  const { tls, tokenFile, secretFilePrefix, controlPlane } = input
  if (tls === undefined && tokenFile !== undefined && !controlPlane.every(({ host }) => isLoopback(host))) {
    throw new RangeError('A token needs TLS: without, whoever is on the way to the control plane can read it')
  }
  if ((tls !== undefined || tokenFile !== undefined) && secretFilePrefix === undefined) {
    throw new RangeError('TLS and tokens need a place for the files by which Envoy reads them')
  }
  const paths = [
    tls?.caFile,
    tls?.certificate?.certificateFile,
    tls?.certificate?.keyFile,
    tokenFile,
    secretFilePrefix,
  ]
  for (const path of paths) {
    if (path !== undefined && !path.startsWith('/')) throw new RangeError(`"${path}" is no absolute path`)
  }
  const { certificateFile = '', keyFile = '' } = tls?.certificate ?? {}
  if (folderOf(certificateFile) !== folderOf(keyFile)) {
    throw new RangeError('A certificate and its key must be in one folder: Envoy watches one for changes')
  }
}

/** Writes the token that is in a file at the moment into every request to the control plane: ADS, LRS and others. */
export const tokenFilter = (files: SecretFiles) => ({
  name: 'envoy.filters.http.credential_injector',
  typed_config: {
    '@type': typeUrl('filters.http.credential_injector.v3.CredentialInjector'),
    overwrite: true,
    credential: {
      name: 'envoy.http.injected_credentials.generic',
      typed_config: {
        '@type': typeUrl('http.injected_credentials.generic.v3.Generic'),
        credential: files.reference(secretNames.token),
        header_value_prefix: 'Bearer ',
      },
    },
  },
})

export const tlsSocket = (options: {
  readonly tls: ControlPlaneTls
  readonly files: SecretFiles
  readonly hosts: readonly string[]
}) => {
  const { tls, files, hosts } = options
  const names = [...new Set(tls.names ?? hosts)]
  const sni = names.find(name => !isIpAddress(name))
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': typeUrl('transport_sockets.tls.v3.UpstreamTlsContext'),
      ...(sni !== undefined && { sni }),
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
        alpn_protocols: ['h2'],
        ...(tls.certificate && {
          tls_certificate_sds_secret_configs: [files.reference(secretNames.certificate)],
        }),
        combined_validation_context: {
          default_validation_context: {
            match_typed_subject_alt_names: names.map(name => ({
              san_type: isIpAddress(name) ? 'IP_ADDRESS' : 'DNS',
              matcher: { exact: name },
            })),
          },
          validation_context_sds_secret_config: files.reference(secretNames.ca),
        },
      },
    },
  }
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'

/** Envoy reads a file again when anything is renamed in its folder, as Kubernetes does with a mounted secret. */
const watched = (path: string) => ({ watched_directory: { path: folderOf(path) } })

/** The files that `tls` and `tokenFile` need beside the bootstrap. They hold paths, no secrets. */
export const secretFiles = (input: SecurityInput): SecretFile[] => {
  const { tls, tokenFile, secretFilePrefix } = input
  const files = new SecretFiles(secretFilePrefix ?? '')
  const file = (name: string, secret: Record<string, unknown>): SecretFile => ({
    path: files.path(name),
    json: { resources: [{ '@type': typeUrl('transport_sockets.tls.v3.Secret'), name, ...secret }] },
  })
  const made: SecretFile[] = []
  if (tls !== undefined) {
    const context = { trusted_ca: { filename: tls.caFile }, ...watched(tls.caFile) }
    made.push(file(secretNames.ca, { validation_context: context }))
  }
  if (tls?.certificate !== undefined) {
    const { certificateFile, keyFile } = tls.certificate
    made.push(
      file(secretNames.certificate, {
        tls_certificate: {
          certificate_chain: { filename: certificateFile },
          private_key: { filename: keyFile },
          ...watched(certificateFile),
        },
      }),
    )
  }
  if (tokenFile !== undefined) {
    made.push(
      file(secretNames.token, { generic_secret: { secret: { filename: tokenFile, ...watched(tokenFile) } } }),
    )
  }
  return made
}
