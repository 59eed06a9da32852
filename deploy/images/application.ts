import { cpSync } from 'node:fs'
import { lstat, mkdir, readlink, symlink } from 'node:fs/promises'
import { basename, dirname, extname, join, relative } from 'node:path'
import { runCommand } from '../local/run-command.ts'

/** What a production program never reads. */
const unusedInPackages = new Set(['.map', '.md', '.markdown', '.ts', '.mts', '.cts'])
const unusedFolders = new Set(['.tsbuild', 'node_modules'])
const testFolders = new Set(['testing', 'golden', 'test'])

/** Sources without their tests. `gen` (the protos) is kept. */
const isSource = (path: string): boolean =>
  !unusedFolders.has(basename(path)) &&
  !testFolders.has(basename(path)) &&
  !/\.test\.ts$|\.tsbuildinfo$/.test(path)

/** Only at the top of a package: deeper down, such a folder may be its code. */
const unusedAtTheTop = /^(tests?|docs?|examples?|benchmarks?|\.github)$/

const isUsedInPackage = (path: string, folder: string): boolean =>
  !unusedFolders.has(basename(path)) &&
  !unusedInPackages.has(extname(path)) &&
  !unusedAtTheTop.test(relative(folder, path))

/** The folders of everything that a workspace needs in production, as installed: packages and links to workspaces. */
const productionFolders = async (repository: string, workspace: string): Promise<string[]> => {
  const { code, stdout, stderr } = await runCommand({
    command: 'npm',
    args: ['ls', '--all', '--omit=dev', '--parseable', `--workspace=${workspace}`],
    cwd: repository,
    // npm would leave what it has compiled in the folder for temporary files.
    env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' },
  })
  const folders = stdout.split('\n').filter(path => path.startsWith(`${repository}/`))
  if (folders.length === 0) throw new Error(`npm does not know what ${workspace} needs (${code}): ${stderr}`)
  return folders
}

/**
 * Copies workspaces and their production packages to `target` with the layout of the repository. Node strips the
 * types of a file only when its real path has no node_modules in it, so workspaces stay links, as npm made them.
 */
export const copyApplication = async (options: {
  readonly repository: string
  readonly workspace: string
  readonly target: string
}): Promise<void> => {
  const { repository, workspace, target } = options
  for (const folder of await productionFolders(repository, workspace)) {
    const destination = join(target, relative(repository, folder))
    await mkdir(dirname(destination), { recursive: true })
    if (!(await lstat(folder)).isSymbolicLink()) {
      cpSync(folder, destination, { recursive: true, filter: path => isUsedInPackage(path, folder) })
      continue
    }
    const link = await readlink(folder)
    await symlink(link, destination)
    cpSync(join(dirname(folder), link), join(dirname(destination), link), {
      recursive: true,
      filter: isSource,
    })
  }
}
