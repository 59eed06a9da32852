import { ConfigError } from './config.ts'

/** What a promise of a file's content is rejected with: a ConfigError of the variable that names the file. */
export const wrongFile =
  (variable: string, accepted: string) =>
  (error: unknown): never => {
    const problem = error instanceof Error ? error.message : String(error)
    throw new ConfigError([{ variable, problem, accepted }])
  }
