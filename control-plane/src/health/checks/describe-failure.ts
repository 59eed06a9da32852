const phrases: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'ECONNREFUSED, nothing listens there',
  ECONNRESET: 'ECONNRESET, the connection was closed before an answer',
  EHOSTUNREACH: 'EHOSTUNREACH, no route to the host',
  ENETUNREACH: 'ENETUNREACH, no route to the network',
  ETIMEDOUT: 'ETIMEDOUT, no answer from the host',
  HPE_HEADER_OVERFLOW: 'HPE_HEADER_OVERFLOW, the headers of the answer are too large',
}

/** A socket's error in words, with the code that one can search for. */
export const describeFailure = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return phrases[code] ?? error.message
}
