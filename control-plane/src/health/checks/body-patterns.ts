import { RE2JS } from 're2js'
import type { HttpCheckSpec } from '@waymark/sidecar-config/model/check.ts'

/** The compiled expressions of checks, each compiled once. RE2: the time of a match is linear in the body. */
export class BodyPatterns {
  readonly #compiled = new WeakMap<HttpCheckSpec, RE2JS>()

  /** Throws for what is no expression; registering has refused such. */
  finds(check: HttpCheckSpec, pattern: string, body: string): boolean {
    let compiled = this.#compiled.get(check)
    if (compiled === undefined) {
      compiled = RE2JS.compile(pattern)
      this.#compiled.set(check, compiled)
    }
    return compiled.matcher(body).find()
  }
}
