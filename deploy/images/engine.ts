import { runCommand } from '../local/run-command.ts'
import { UserError } from '../local/user-error.ts'

/** A container engine, and what each of its commands begins with. */
export interface Engine {
  readonly name: 'podman' | 'docker'
  readonly args: readonly string[]
}

const answers = async (command: string, args: readonly string[]): Promise<boolean> =>
  (await runCommand({ command, args, timeoutMs: 30_000 })).code === 0

/**
 * The engine that works here: podman (with runc where there is one, since nested hosts know no other) or docker.
 * `wanted` allows only that one. Rejects with a UserError when there is none.
 */
export const findEngine = async (wanted?: string): Promise<Engine> => {
  if (wanted === undefined || wanted === 'podman') {
    const runc = (await answers('runc', ['--version'])) ? ['--runtime', 'runc'] : []
    if (await answers('podman', [...runc, 'info'])) return { name: 'podman', args: runc }
  }
  if ((wanted === undefined || wanted === 'docker') && (await answers('docker', ['info']))) {
    return { name: 'docker', args: [] }
  }
  throw new UserError(`No container engine answers here${wanted === undefined ? '' : ` (${wanted})`}.`, [
    'Debian, Ubuntu: sudo apt-get install podman runc',
    'Fedora, RHEL: sudo dnf install podman',
    'Or start the docker daemon.',
  ])
}
