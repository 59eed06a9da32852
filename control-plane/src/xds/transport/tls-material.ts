import { constants } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { Clock } from '../../runtime/clock.ts'
import { certificatesIn, parseKeyPair, type KeyPairFiles } from '../../runtime/key-pair.ts'
import type { Logger } from '../../runtime/logger.ts'
import { ReloadedFiles } from '../../runtime/reloaded-files.ts'

export interface TlsFiles extends KeyPairFiles {
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
    parse: ([cert, key, clientCa]) => {
      const context: SecureContextOptions = {
        ...parseKeyPair({ cert, key, now: clock.now() }),
        minVersion: 'TLSv1.2',
        // A resumed session would skip the check of the client's certificate, whatever has become of its root.
        secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
      }
      if (clientCa !== undefined) {
        certificatesIn(clientCa, 'client CA')
        context.ca = clientCa
      }
      return { context, asksForCertificate: clientCa !== undefined }
    },
  })
}
