import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * Packages that read files of their own, or that only some replicas load: they are imported from node_modules as
 * before.
 */
const keptApart = [
  '@fastify/swagger-ui',
  '@nats-io/jetstream',
  '@nats-io/transport-node',
  '@platformatic/kafka',
  // Loaded when it is there; it is not.
  'pg-native',
]

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
    external: keptApart,
    logLevel: 'warn',
  })
  try {
    await bundle.write({
      dir: directory,
      format: 'esm',
      entryFileNames: 'main.mjs',
      chunkFileNames: '[name].mjs',
      sourcemap: true,
    })
  } finally {
    await bundle.close()
  }
  return join(directory, 'main.mjs')
}
