import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where one version of a tool is kept between runs, outside of the project. */
export const cacheFolder = (name: string, version: string): string =>
  join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'waymark', name, version)

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => null)) !== null

/** Fills `folder` once, by a rename: several processes may do it at the same time. */
export const fillOnce = async (folder: string, fill: (staging: string) => Promise<void>): Promise<void> => {
  if (await exists(folder)) return
  await mkdir(join(folder, '..'), { recursive: true })
  const staging = await mkdtemp(`${folder}-staging-`)
  try {
    await fill(staging)
    await rename(staging, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error
    })
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}
