import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** Paths of PEM files. */
export interface KeyPairFiles {
  /** The certificate with what leads to its root. */
  readonly certificate: string
  readonly key: string
}

/** As Node's TLS takes them. */
export interface KeyPair {
  readonly cert: Buffer
  readonly key: Buffer
}

/** OpenSSL would read a text without a certificate as an empty list of them. `what` names it in the error. */
export const certificatesIn = (pem: Buffer, what: string): X509Certificate[] => {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (blocks === null) throw new Error(`the ${what} file holds no PEM certificate`)
  return blocks.map(block => new X509Certificate(block))
}

/** Throws when there is no certificate, when it has expired at `now` (ms), or when the key is another's. */
export const parseKeyPair = (pem: {
  cert?: Buffer | undefined
  key?: Buffer | undefined
  now: number
}): KeyPair => {
  const { cert = Buffer.of(), key = Buffer.of(), now } = pem
  const [own] = certificatesIn(cert, 'certificate')
  if (own !== undefined && Date.parse(own.validTo) < now) {
    throw new Error(`the certificate has expired at ${own.validTo}`)
  }
  createSecureContext({ cert, key })
  return { cert, key }
}
