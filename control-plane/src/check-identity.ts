import type { Clock } from './runtime/clock.ts'
import { parseKeyPair, type KeyPair, type KeyPairFiles } from './runtime/key-pair.ts'
import type { Logger } from './runtime/logger.ts'
import { ReloadedFiles } from './runtime/reloaded-files.ts'
import { wrongFile } from './wrong-file.ts'

/**
 * The certificate with which active checks answer servers that ask for one, read again when its files change. Rejects
 * with ConfigError when they cannot be read or do not fit together.
 */
export const openCheckIdentity = async (options: {
  readonly files: KeyPairFiles | null
  readonly clock: Clock
  readonly logger: Logger
}): Promise<ReloadedFiles<KeyPair> | null> => {
  const { files, clock, logger } = options
  if (files === null) return null
  return ReloadedFiles.open({
    name: 'certificate of checks',
    paths: [files.certificate, files.key],
    clock,
    logger,
    parse: ([cert, key]) => parseKeyPair({ cert, key, now: clock.now() }),
  }).catch(wrongFile('WAYMARK_CHECK_TLS_CERT, WAYMARK_CHECK_TLS_KEY', 'PEM files that fit together'))
}
