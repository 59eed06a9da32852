/**
 * Something that the person at the keyboard can put right: `message` is one clear sentence, `advice` says what
 * to do about it, one line each. Shown without a stack.
 */
export class UserError extends Error {
  override readonly name = 'UserError'
  readonly advice: readonly string[]

  constructor(message: string, advice: readonly string[] = [], options: ErrorOptions = {}) {
    super(message, options)
    this.advice = advice
  }
}
