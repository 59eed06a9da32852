import { copyFile, mkdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runCommand } from '../local/run-command.ts'
import { UserError } from '../local/user-error.ts'

/** Reads what `ldd` writes: the absolute paths of the libraries and of the loader. Throws when one is missing. */
export const parseLdd = (output: string): string[] => {
  const paths: string[] = []
  for (const line of output.split('\n')) {
    const missing = /^\s*(\S+) => not found/.exec(line)
    if (missing !== null) throw new Error(`the library ${missing[1]} is missing on this machine`)
    const path = /^\s*(?:\S+ => )?(\/\S+)(?: \(0x[0-9a-f]+\))?$/.exec(line)?.[1]
    if (path !== undefined) paths.push(path)
  }
  return paths
}

/** The shared libraries that a program needs, by the paths at which its loader looks for them. */
export const librariesOf = async (program: string): Promise<string[]> => {
  const { code, stdout, stderr, failure } = await runCommand({ command: 'ldd', args: [program] })
  if (failure !== null) {
    throw new UserError(`ldd, which tells the libraries of a program, does not run here: ${failure}.`, [
      'Build the images on Linux with glibc, for the architecture that they are to run on.',
    ])
  }
  if (code === 0) return parseLdd(stdout)
  if (/not a dynamic executable/.test(stderr)) return []
  throw new UserError(`The libraries of ${program} could not be told: ${stderr.trim() || stdout.trim()}.`)
}

/** Copies files to the same absolute paths below `root`; links become what they lead to. */
export const copyIn = async (root: string, paths: Iterable<string>): Promise<void> => {
  for (const path of new Set(paths)) {
    const target = join(root, path)
    await mkdir(dirname(target), { recursive: true })
    await copyFile(await realpath(path), target)
  }
}

/** What glibc loads by itself to resolve names, where it is not built in (before 2.34). */
const resolverLibraries = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']

/** Copies a program to `target` below `root`, with its libraries at the paths where it expects them. */
export const installProgram = async (options: {
  readonly root: string
  readonly program: string
  readonly target: string
}): Promise<void> => {
  const { root, program, target } = options
  const libraries = await librariesOf(program)
  const folder = libraries.find(path => path.includes('/libc.so'))
  const extra = resolverLibraries.map(name => (folder === undefined ? name : join(dirname(folder), name)))
  const present = await Promise.all(
    extra.map(async path => ((await stat(path).catch(() => null)) === null ? [] : [path])),
  )
  await copyIn(root, [...libraries, ...present.flat()])
  const destination = join(root, target)
  await mkdir(dirname(destination), { recursive: true })
  await copyFile(await realpath(program), destination)
}
