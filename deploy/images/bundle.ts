import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * Packages that read files of their own, or that only some replicas load: they are imported from node_modules as
 * before.
 */
export const keptApart: readonly string[] = [
  '@fastify/swagger-ui',
  '@nats-io/jetstream',
  '@nats-io/transport-node',
  // It loads gRPC by a way that no bundler follows: another one than the bundle's, which refuses its credentials.
  '@opentelemetry/exporter-trace-otlp-grpc',
  '@platformatic/kafka',
  // Loaded when it is there; it is not.
  'pg-native',
]

/** What the bundle loads by `require` comes from node_modules, whether the bundle has a copy of its own or not. */
const requireOnlyKeptApart = (file: string, code: string): void => {
  const loaded = [...code.matchAll(/\b__require\(\s*"([^"]+)"/g)].map(([, name = '']) => name)
  const odd = loaded.filter(name => !isBuiltin(name) && !keptApart.includes(name))
  if (odd.length > 0)
    throw new Error(
      `${file} loads ${[...new Set(odd)].join(', ')} beside the copy in the bundle: keep what asks for it apart`,
    )
}

export interface BundleOptions {
  readonly repository: string
  /**
   * Gets `main.mjs` and what that loads later. Three folders below the one that has `migrations` and `node_modules`, as
   * far as the sources, which find them by their own place.
   */
  readonly directory: string
}

/**
 * Puts the control plane's program, with the packages that it loads at its start, into one file: Node then neither looks
 * for a thousand files nor compiles what nobody uses. Names and lines stay as they are; the map of the file tells where
 * each line came from (`--enable-source-maps`). Returns the path of the program.
 */
export const bundleControlPlane = async ({ repository, directory }: BundleOptions): Promise<string> => {
  const bundle = await rolldown({
    input: join(repository, 'control-plane', 'src', 'main.ts'),
    platform: 'node',
    external: [...keptApart],
    logLevel: 'warn',
  })
  try {
    const { output } = await bundle.write({
      dir: directory,
      format: 'esm',
      entryFileNames: 'main.mjs',
      chunkFileNames: '[name].mjs',
      sourcemap: true,
    })
    for (const part of output) if (part.type === 'chunk') requireOnlyKeptApart(part.fileName, part.code)
  } finally {
    await bundle.close()
  }
  return join(directory, 'main.mjs')
}
