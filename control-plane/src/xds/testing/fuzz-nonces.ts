/** Which response a request says to answer: the last of its type, an older one, the last of another type, none that was sent. */
export type Answered = 'last' | 'older' | 'of another type' | 'made up' | 'nothing'

/** Nonces of one type that are remembered. */
const kept = 20

/** The nonces that a client has been sent. */
export class FuzzNonces {
  readonly #byType = new Map<string, string[]>()

  add(typeUrl: string, nonce: string): void {
    const nonces = this.#byType.get(typeUrl) ?? []
    nonces.push(nonce)
    if (nonces.length > kept) nonces.shift()
    this.#byType.set(typeUrl, nonces)
  }

  /** Of one type, oldest first. */
  of(typeUrl: string): readonly string[] {
    return this.#byType.get(typeUrl) ?? []
  }

  /** '': there is none such. */
  pick(answered: Answered, typeUrl: string): string {
    const nonces = this.of(typeUrl)
    switch (answered) {
      case 'last':
        return nonces.at(-1) ?? ''
      case 'older':
        return nonces.at(-2) ?? ''
      case 'of another type': {
        const [other] = [...this.#byType].findLast(([each]) => each !== typeUrl)?.[1].slice(-1) ?? []
        return other ?? ''
      }
      case 'made up':
        return 'made up'
      case 'nothing':
        return ''
    }
  }
}
