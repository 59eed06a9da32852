import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleControlPlane } from '@waymark/deploy/images/bundle.ts'
import { onTestFinished } from 'vitest'

const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/**
 * The program as the image has it, in one file, made for one test: about a second of CPU. Where something is loaded
 * late, by name or from a file of its own, it may differ from the sources.
 */
export const bundledProgram = async (): Promise<string> => {
  const cache = join(repository, '.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'bundle-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return bundleControlPlane({ repository, directory: join(folder, 'program') })
}
