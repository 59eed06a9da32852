import { join } from 'node:path'
import { runCommand, type CommandResult } from '../local/run-command.ts'
import { cacheFolder, fillOnce } from '../local/tool-cache.ts'
import { UserError } from '../local/user-error.ts'

const kustomizeVersion = 'v5.6.0'
const validatorVersion = '1.37.0'

export interface Tool {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

const works = async ({ command, args }: Pick<Tool, 'command' | 'args'>): Promise<boolean> =>
  (await runCommand({ command, args, timeoutMs: 30_000 })).code === 0

const words = ({ failure, stderr, stdout }: CommandResult): string =>
  failure ?? (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? 'it gave no reason'

/** kustomize, compiled once from its pinned Go module into the user's cache; without Go that of kubectl. */
export const findKustomize = async (): Promise<Tool> => {
  if (!(await works({ command: 'go', args: ['version'] }))) {
    const builtIn = { command: 'kubectl', args: ['kustomize'], env: process.env }
    if (await works({ command: 'kubectl', args: ['kustomize', '--help'] })) return builtIn
    throw new UserError('Neither Go, which builds kustomize, nor kubectl, which has it built in, is here.')
  }
  const folder = cacheFolder('kustomize', kustomizeVersion)
  await fillOnce(folder, async staging => {
    const result = await runCommand({
      command: 'go',
      args: ['install', `sigs.k8s.io/kustomize/kustomize/v5@${kustomizeVersion}`],
      env: { ...process.env, GOBIN: staging, CGO_ENABLED: '0', GOFLAGS: '' },
    })
    if (result.code !== 0) throw new UserError(`Go could not install kustomize: ${words(result)}.`)
  })
  return { command: join(folder, 'kustomize'), args: ['build'], env: process.env }
}

/** The validator, which brings the schemas of Kubernetes with it, installed once into the user's cache by pip. */
export const findValidator = async (): Promise<Tool> => {
  if (!(await works({ command: 'python3', args: ['-m', 'pip', '--version'] }))) {
    throw new UserError('Python 3 with pip, which installs the schema validator, is not here.')
  }
  const folder = cacheFolder('kubernetes-validate', validatorVersion)
  await fillOnce(folder, async staging => {
    const result = await runCommand({
      command: 'python3',
      args: [
        ...['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check'],
        ...['--only-binary=:all:', `--target=${staging}`, `kubernetes-validate==${validatorVersion}`],
      ],
    })
    if (result.code !== 0) throw new UserError(`pip could not install the validator: ${words(result)}.`)
  })
  return {
    command: 'python3',
    args: ['-m', 'kubernetes_validate', '--strict', '--quiet'],
    env: { ...process.env, PYTHONPATH: folder },
  }
}

/** Runs a tool with more arguments. Rejects with its words when it fails. */
export const runTool = async (tool: Tool, ...args: readonly string[]): Promise<string> => {
  const { command, env } = tool
  const result = await runCommand({ command, args: [...tool.args, ...args], env, timeoutMs: 120_000 })
  if (result.code !== 0) throw new Error(result.failure ?? `${result.stdout}${result.stderr}`)
  return result.stdout
}
