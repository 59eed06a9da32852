export const capabilities = ['register', 'discover', 'health', 'push', 'publish'] as const
export type Capability = (typeof capabilities)[number]
export type Mode = 'target' | 'degraded' | 'floor' | 'recovery'

/** Which mode a capability is in, since when, on what evidence, and what ends it. */
export interface ModeState {
  readonly capability: Capability
  readonly mode: Mode
  readonly since: string
  readonly evidence: string
  /** null in `target`. */
  readonly endsWhen: string | null
}
