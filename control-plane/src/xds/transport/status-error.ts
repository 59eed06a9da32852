const maxLength = 1_000

/**
 * What ends a call of grpc-js with a status. Its words may repeat what a client has sent: they are cut, and mended
 * where half a surrogate pair is left, for which grpc-js throws where nobody can catch it.
 */
export const statusError = (code: number, words: string): Error & { code: number; details: string } => {
  const details = words.slice(0, maxLength).toWellFormed()
  return Object.assign(new Error(details), { code, details })
}
