import pino, { type DestinationStream, type Logger as PinoLogger } from 'pino'
import type { Logger } from '../runtime/logger.ts'
import { redact } from './redact.ts'

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** On every line as `replica`. */
  readonly replicaId: string
  /** Where lines go; stdout if absent. */
  readonly destination?: DestinationStream
}

const wrap = (inner: PinoLogger): Logger => ({
  debug: (fields, message) => {
    if (inner.isLevelEnabled('debug')) inner.debug(redact(fields), message)
  },
  info: (fields, message) => {
    if (inner.isLevelEnabled('info')) inner.info(redact(fields), message)
  },
  warn: (fields, message) => {
    if (inner.isLevelEnabled('warn')) inner.warn(redact(fields), message)
  },
  error: (fields, message) => {
    if (inner.isLevelEnabled('error')) inner.error(redact(fields), message)
  },
  child: fields => wrap(inner.child(redact(fields))),
})

/** One JSON object a line: `level` (a word), `time` (ISO 8601), `replica`, the fields, `msg`. Secrets are taken out. */
export const createLogger = ({ level, replicaId, destination }: LoggerOptions): Logger => {
  const options = {
    level,
    base: { replica: replicaId },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return wrap(destination === undefined ? pino(options) : pino(options, destination))
}
