import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../local/run-command.ts'
import type { Engine } from './engine.ts'
import { imageRoots, repository, type ImageName } from './image-roots.ts'

export interface BuildImageOptions {
  readonly engine: Engine
  readonly name: ImageName
  /** `localhost/waymark-sidecar:0.1.0` */
  readonly reference: string
  readonly onProgress: (text: string) => void
}

export interface BuiltImage {
  readonly reference: string
  readonly bytes: number
  readonly assembleMs: number
  readonly buildMs: number
}

const containerfile = (name: ImageName): string =>
  fileURLToPath(new URL(`${name}.Containerfile`, import.meta.url))

/** Puts the image's root folder together below .cache/images and builds the image from it. Pulls nothing. */
export const buildImage = async (options: BuildImageOptions): Promise<BuiltImage> => {
  const { engine, name, reference, onProgress } = options
  const context = join(repository, '.cache', 'images', name)
  const start = performance.now()
  await rm(context, { recursive: true, force: true })
  await mkdir(join(context, 'data'), { recursive: true })
  await imageRoots[name]({ context, onProgress })
  const assembled = performance.now()
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCommand({
      command: engine.name,
      args: [...engine.args, ...args],
    })
    if (code !== 0)
      throw new Error(`${engine.name} ${args[0] ?? ''} failed: ${stderr.trim() || stdout.trim()}`)
    return stdout
  }
  await run('build', '--tag', reference, '--file', containerfile(name), context)
  const bytes = Number(await run('image', 'inspect', '--format', '{{.Size}}', reference))
  await rm(context, { recursive: true, force: true })
  return {
    reference,
    bytes,
    assembleMs: Math.round(assembled - start),
    buildMs: Math.round(performance.now() - assembled),
  }
}
