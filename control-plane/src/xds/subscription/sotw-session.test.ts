import { expect, test } from 'vitest'
import { MemorySource } from '../memory-source.ts'
import { resource } from '../testing/server-fixture.ts'
import { SotwFixture, type SentState } from '../testing/sotw-fixture.ts'
import { clusterType, endpointType } from '../type-urls.ts'

const short = new Map([
  [clusterType, 'C'],
  [endpointType, 'E'],
])
/** `C a=1 b=1`: type and resources. */
const text = (sent: SentState[]): string[] =>
  sent.map(({ typeUrl, resources }) => [short.get(typeUrl) ?? typeUrl, ...resources].join(' '))
const one = (sent: SentState[]): SentState => {
  const [state] = sent
  if (state === undefined || sent.length > 1) throw new Error(`one response expected: ${text(sent).join()}`)
  return state
}
const ref = (typeUrl: string, name: string) => ({ typeUrl, name })
const cluster = (name: string, body = '1') => resource(clusterType, name, body, [ref(endpointType, name)])
/** Asks, ACKs what comes, and fails if that brings anything. */
function have(fixture: SotwFixture, typeUrl: string, names: string[] = []): SentState {
  const state = one(fixture.ask(typeUrl, { names }))
  expect(fixture.ask(typeUrl, { names, nonce: state.nonce, version: state.version })).toEqual([])
  return state
}

test('X24 names may change before the first response, without a nonce', () => {
  const fixture = new SotwFixture()
  fixture.source.apply({ put: [resource(endpointType, 'a'), resource(endpointType, 'b')] })
  fixture.request(endpointType, { names: ['a'] })
  fixture.request(endpointType, { names: ['a', 'b'] })
  expect(text(fixture.flush())).toEqual(['E a=1 b=1'])
})

test('X20 X24 a changed cluster is followed by its unchanged endpoints; on a stream of its own it is not', () => {
  const source = new MemorySource()
  source.apply({ put: [cluster('a'), resource(endpointType, 'a')] })
  const fixture = new SotwFixture({ source })
  have(fixture, clusterType)
  have(fixture, endpointType, ['a'])
  const separate = new SotwFixture({ source, aggregated: false })
  have(separate, clusterType)
  expect(text(fixture.change({ put: [cluster('a', '2')] }))).toEqual(['C a=2', 'E a=1'])
  expect(text(separate.flush())).toEqual(['C a=2'])
  const endpoints = new SotwFixture({ source, aggregated: false })
  have(endpoints, endpointType, ['a'])
  expect(endpoints.wait(20_000)).toEqual([])
})
