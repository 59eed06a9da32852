import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { XdsPeer } from '../port.ts'

type Call = Pick<ServerDuplexStream<unknown, unknown>, 'getPeer' | 'getAuthContext' | 'metadata'>

/** Who is on the other side of a call, as far as the connection and the first metadata tell. */
export const peerOf = (call: Call): XdsPeer => {
  const [authorization] = call.metadata.get('authorization')
  const [, token] = /^bearer +([\w.~+/=-]{1,4096})$/i.exec(String(authorization ?? '')) ?? []
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? ''
  return { address: call.getPeer(), spiffeIds: spiffeIdsIn(names), bearerToken: token }
}

/**
 * The SPIFFE id among the alternative names of a verified certificate, as Node prints them. A certificate with
 * several URIs is none of SPIFFE's (X509-SVID, section 2), and says nothing.
 */
export const spiffeIdsIn = (subjectAltName: string): string[] => {
  const uris: string[] = []
  // Node quotes a value in which there is a comma or a quote, so that nothing in it looks like a name of its own.
  const entry = /([^:]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y
  while (entry.lastIndex < subjectAltName.length) {
    const match = entry.exec(subjectAltName)
    if (match === null) return []
    if (match[1] === 'URI') uris.push(match[2] ?? '')
  }
  return uris.length === 1 && uris[0]?.startsWith('spiffe://') === true ? uris : []
}
