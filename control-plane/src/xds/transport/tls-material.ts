import { X509Certificate } from 'node:crypto'
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { ReloadedFiles } from '../../runtime/reloaded-files.ts'

export interface TlsFiles {
  /** The server's certificate with what leads to its root (PEM). */
  readonly certificate: string
  readonly key: string
  /** The roots of client certificates (PEM); null: clients are not asked for one. */
  readonly clientCa: string | null
}

/** What new connections are made with. */
export interface TlsMaterial {
  readonly context: SecureContextOptions
  readonly asksForCertificate: boolean
}

/** The certificates of a TLS server, read again when their files change. */
export type ReloadedTls = ReloadedFiles<TlsMaterial>

/** Rejects when the files cannot be read or do not fit together. */
export const openTls = (options: {
  readonly files: TlsFiles
  readonly clock: Clock
  readonly logger: Logger
}): Promise<ReloadedTls> => {
  const { files, clock, logger } = options
  const paths = [files.certificate, files.key, ...(files.clientCa === null ? [] : [files.clientCa])]
  return ReloadedFiles.open({
    name: 'xDS certificate',
    paths,
    clock,
    logger,
    parse: ([certificate, key, clientCa]) => material({ certificate, key, clientCa, now: clock.now() }),
  })
}

interface Contents {
  readonly certificate: Buffer | undefined
  readonly key: Buffer | undefined
  readonly clientCa: Buffer | undefined
  readonly now: number
}

function material({ certificate = Buffer.of(), key = Buffer.of(), clientCa, now }: Contents): TlsMaterial {
  const [own] = certificatesIn(certificate, 'certificate')
  if (own !== undefined && Date.parse(own.validTo) < now) {
    throw new Error(`the certificate has expired at ${own.validTo}`)
  }
  const context: SecureContextOptions = {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    // A resumed session would skip the check of the client's certificate, whatever has become of its root.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
  if (clientCa !== undefined) {
    certificatesIn(clientCa, 'client CA')
    context.ca = clientCa
  }
  // Throws when the key is not that of the certificate.
  createSecureContext(context)
  return { context, asksForCertificate: clientCa !== undefined }
}

/** OpenSSL would read a file without a certificate as an empty list of them. */
function certificatesIn(pem: Buffer, what: string): X509Certificate[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (blocks === null) throw new Error(`the ${what} file holds no PEM certificate`)
  return blocks.map(block => new X509Certificate(block))
}
