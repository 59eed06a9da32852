import { SotwSession } from '../subscription/sotw-session.ts'
import type { SotwRequest } from '../subscription/xds-request.ts'
import { StreamFixture, type StreamFixtureOptions } from './stream-fixture.ts'

/** A state-of-the-world response as a test reads it. */
export interface SentState {
  readonly typeUrl: string
  /** `name=body` of each resource, in the order of names. */
  readonly resources: string[]
  readonly version: string
  readonly nonce: string
}

/** A state-of-the-world session; see `StreamFixture`. */
export class SotwFixture extends StreamFixture<SotwRequest, SentState> {
  constructor(options: StreamFixtureOptions = {}) {
    super(
      {
        open: session => new SotwSession(session),
        defaults: { node: undefined, names: [], version: '', nonce: '', error: undefined },
        describe: ({ typeUrl, resources, version = '' }, nonce) => ({
          typeUrl,
          resources: resources
            .map(({ name, body }) => `${name}=${Buffer.from(body ?? []).toString()}`)
            .sort(),
          version,
          nonce,
        }),
      },
      options,
    )
  }
}
