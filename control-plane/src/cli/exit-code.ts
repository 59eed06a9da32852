/** What the waymark command ends with; `docs/reference/cli.md` lists them. */
export const exitCodes = {
  ok: 0,
  /** The question was answered, and the answer is bad: refused by a sidecar, stuck, not healthy. */
  finding: 1,
  /** The command line or a file is wrong; nothing was asked. */
  usage: 2,
  /** The API refused the request. */
  refused: 3,
  /** The API could not be reached, or cannot answer now; trying again may help. */
  unavailable: 4,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends a command with a message and an exit code. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
