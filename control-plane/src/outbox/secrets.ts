import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface SecretsOptions {
  /** A folder with a file for each secret, as orchestrators mount them; null: there is none. */
  readonly directory: string | null
  readonly environment: Readonly<Record<string, string | undefined>>
}

const namePattern = /^[a-z][a-z0-9-]{0,61}[a-z0-9]$/
/** More is no secret. */
const sizeLimit = 64 * 1_024

const secretVariable = (name: string): string => `WAYMARK_SECRET_${name.toUpperCase().replaceAll('-', '_')}`

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

/**
 * Secrets by the names that documents give them. A name leads to a file of one folder or to a variable with one
 * prefix, and to nothing else: whoever may write documents cannot have other files or variables sent to a sink.
 * Nothing is kept, so that a changed file counts from the next opening of a sink on.
 */
export class Secrets {
  readonly #options: SecretsOptions

  constructor(options: SecretsOptions) {
    this.#options = options
  }

  /** The text without white space around it. Rejects with an Error that says where it was looked for. */
  async read(name: string): Promise<string> {
    if (!namePattern.test(name)) throw new Error(`"${name}" is no name of a secret`)
    const { directory, environment } = this.#options
    const text =
      (directory === null ? null : await readSecret(join(directory, name))) ??
      environment[secretVariable(name)]
    if (text === undefined || text.trim() === '') {
      const places = [...(directory === null ? [] : ['WAYMARK_SECRETS_DIR']), secretVariable(name)]
      throw new Error(`the secret ${name} is not there (looked for in ${places.join(' and ')})`)
    }
    return text.trim()
  }
}

const readSecret = async (path: string): Promise<string | null> => {
  try {
    const text = await readFile(path, 'utf8')
    if (text.length > sizeLimit) throw new Error('the file of a secret is larger than 64 KiB')
    return text
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}
