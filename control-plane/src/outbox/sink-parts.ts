import type { Writable } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'
import type { AllowsAddress } from './guarded-address.ts'
import type { Secrets } from './secrets.ts'

/** What sinks are made of. */
export interface SinkParts {
  readonly clock: Clock
  readonly stdout: Writable
  readonly secrets: Secrets
  /** Where documents may have files written; null: nowhere. */
  readonly filesDirectory: string | null
  /** What documents must not have this process connect to. */
  readonly allowsAddress: AllowsAddress
}
