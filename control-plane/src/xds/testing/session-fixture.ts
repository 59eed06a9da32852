import { DeltaSession } from '../subscription/delta-session.ts'
import { SharedState } from '../subscription/shared-state.ts'
import type { DeltaRequest } from '../subscription/xds-request.ts'
import { StreamFixture, type StreamFixtureOptions } from './stream-fixture.ts'

/** A batch as a test reads it. */
export interface SentBatch {
  readonly typeUrl: string
  /** `name=body` of each resource. */
  readonly resources: string[]
  readonly removed: string[]
  readonly nonce: string
}

/** A delta session; see `StreamFixture`. */
export class SessionFixture extends StreamFixture<DeltaRequest, SentBatch> {
  constructor(options: StreamFixtureOptions = {}) {
    super(
      {
        open: session => new DeltaSession({ ...session, shared: new SharedState({ smallest: 1 }) }),
        defaults: {
          node: undefined,
          subscribe: [],
          unsubscribe: [],
          initialVersions: new Map<string, string>(),
          nonce: '',
          error: undefined,
        },
        describe: ({ typeUrl, resources, removed }, nonce) => ({
          typeUrl,
          resources: resources.map(
            ({ name, body }) => `${name}=${body === null ? 'none' : Buffer.from(body).toString()}`,
          ),
          removed: [...removed].sort(),
          nonce,
        }),
      },
      options,
    )
  }

  ack({ typeUrl, nonce }: SentBatch): SentBatch[] {
    return this.ask(typeUrl, { nonce })
  }

  nack({ typeUrl, nonce }: SentBatch, error = 'refused'): SentBatch[] {
    return this.ask(typeUrl, { nonce, error })
  }

  /** ACKs these and what they lead to, until nothing more is sent; returns all that was sent. */
  ackAll(batches: SentBatch[]): SentBatch[] {
    const sent = [...batches]
    for (const batch of sent) sent.push(...this.ack(batch))
    return sent
  }
}
