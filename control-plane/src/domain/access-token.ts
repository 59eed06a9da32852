import { createHash, randomBytes } from 'node:crypto'

/** What the control plane knows of a bearer token. It holds no token, so whoever reads it gets no access. */
export interface TokenEntry {
  /** Of the token's text, in hex. */
  readonly sha256: string
  /** The services whose sidecars the token speaks for; `*`: all of them, and tools that see all. */
  readonly services: readonly string[]
  /** RFC 3339. */
  readonly expires: string
}

export const sha256Of = (text: string): Buffer => createHash('sha256').update(text).digest()

/** A token of 256 random bits, and the entry that lets it in. */
export const newToken = (options: {
  readonly services: readonly string[]
  /** ms since the epoch. */
  readonly expiresAt: number
}): { readonly token: string; readonly entry: TokenEntry } => {
  const token = `wmt_${randomBytes(32).toString('base64url')}`
  return {
    token,
    entry: {
      sha256: sha256Of(token).toString('hex'),
      services: options.services,
      expires: new Date(options.expiresAt).toISOString(),
    },
  }
}
