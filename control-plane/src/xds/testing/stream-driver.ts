import type { MemoryChange, MemorySource } from '../memory-source.ts'
import type { XdsRequest } from '../subscription/xds-request.ts'
import { ServerFixture, type FixtureOptions } from './server-fixture.ts'
import { StandingClock, stopMs } from './standing-clock.ts'
import type { StreamFixture } from './stream-fixture.ts'

/** One stream, however it is reached: what the tests of the rules are written against. */
export interface StreamDriver<Fields, Sent> extends AsyncDisposable {
  readonly source: MemorySource
  /** Sends a request; resolves with all that is sent until it has been dealt with. */
  ask(typeUrl: string, fields?: Fields): Promise<Sent[]>
  /** Changes resources; resolves with what is sent then. */
  change(change: MemoryChange): Promise<Sent[]>
  /** Lets time pass; resolves with what is sent then. */
  wait(ms: number): Promise<Sent[]>
  /** What the client has refused, as the status tells it. */
  refusals(): { readonly names: readonly string[]; readonly message: string }[]
  /** Nothing of a type, or of any, is unsent or unanswered. */
  settled(typeUrl?: string): boolean
}

/** A session in this process, without a transport. */
export const driveSession = <Request extends XdsRequest, Sent>(
  fixture: StreamFixture<Request, Sent>,
): StreamDriver<Partial<Request>, Sent> => ({
  source: fixture.source,
  ask: (typeUrl, fields) => Promise.resolve(fixture.ask(typeUrl, fields)),
  change: change => Promise.resolve(fixture.change(change)),
  wait: ms => Promise.resolve(fixture.wait(ms)),
  refusals: () => fixture.session.deliveries.flatMap(({ refusals }) => refusals),
  settled: only =>
    fixture.session.deliveries.every(
      ({ busy, typeUrl }) => !busy || (only !== undefined && only !== typeUrl),
    ),
  [Symbol.asyncDispose]: () => Promise.resolve(),
})

/** A type of its own, whose requests are answered at once and last: what comes before is all that was sent. */
export const markerType = 'test/marker'

/** A client on one stream, whose node is `web/1`. */
export interface DrivenClient<Fields, Sent> {
  send(typeUrl: string, fields: Fields): void
  /** Sends a request of `markerType`; resolves with what was sent before its answer. */
  untilMarker(): Promise<Sent[]>
  close(): void
}

/** A client of a server of its own, over a gRPC socket; the server's time stands still but for `wait`. */
export const driveSocket = async <Fields extends object, Sent>(
  options: Pick<FixtureOptions, 'source' | 'limits'>,
  connect: (fixture: ServerFixture) => DrivenClient<Partial<Fields>, Sent>,
): Promise<StreamDriver<Partial<Fields>, Sent>> => {
  const clock = new StandingClock()
  const fixture = await ServerFixture.start({ ...options, clock })
  const client = connect(fixture)
  const status = () => fixture.server.book.stream('web/1')
  return {
    source: fixture.source,
    ask: (typeUrl, fields = {}) => {
      client.send(typeUrl, fields)
      return client.untilMarker()
    },
    change: change => {
      fixture.source.apply(change)
      return client.untilMarker()
    },
    wait: async ms => {
      await clock.advance(ms)
      return client.untilMarker()
    },
    refusals: () => status()?.nacks.map(({ names, message }) => ({ names, message })) ?? [],
    settled: only =>
      status()?.types.every(
        ({ typeUrl, waiting, unansweredSince }) =>
          typeUrl === markerType ||
          (only !== undefined && only !== typeUrl) ||
          (waiting === 0 && unansweredSince === null),
      ) === true,
    [Symbol.asyncDispose]: async () => {
      client.close()
      const ended = fixture[Symbol.asyncDispose]()
      await clock.advance(stopMs)
      await ended
    },
  }
}

/** What a message says of an error, if it says something. */
export const errorDetail = (
  error: string | undefined,
): { readonly errorDetail?: { readonly code: number; readonly message: string; readonly details: [] } } =>
  error === undefined ? {} : { errorDetail: { code: 13, message: error, details: [] } }
