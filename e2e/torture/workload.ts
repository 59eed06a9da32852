import type { BatchResultView } from '@waymark/control-plane/rest/schemas/batch.ts'
import type { InstanceView } from '@waymark/control-plane/rest/schemas/instance.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { randomFrom } from '../harness/random.ts'
import type { InstanceState, Operation } from './history.ts'
import { keyOf, stateOf } from './reduce.ts'
import { TortureClient, type Question } from './torture-client.ts'

export interface WorkloadOptions {
  readonly name: string
  readonly seed: number
  /** REST of the replicas. */
  readonly urls: readonly string[]
  /** True: it asks one replica only, and never says what it has seen. */
  readonly pinned: boolean
  readonly signal: AbortSignal
  readonly record: (operation: Operation) => void
}

/** Few, so that clients get in each other's way. */
const services = ['alpha', 'beta', 'gamma']
const instancesOfService = 4
/** Lines of a batch, at most. */
const linesOfBatch = 8
/** A replica that is gone refuses at once: do not fill the history with that. */
const afterFailureMs = 50

const statesIn = (body: unknown): Record<string, InstanceState> => {
  const { instances } = body as { instances?: readonly InstanceView[] }
  const all = instances ?? [body as InstanceView]
  return Object.fromEntries(all.map(one => [keyOf(one), stateOf(one)]))
}

/** One client that does one thing after the other, chosen by its seed, until the signal aborts. */
export const runClient = async (options: WorkloadOptions): Promise<void> => {
  const { name, urls, pinned, signal, record } = options
  const random = randomFrom(options.seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const client = new TortureClient()
  const home = pick(urls)
  /** The greatest revision that it has been told. */
  let seen = 0
  for (let turn = 0; !signal.aborted; turn += 1) {
    const id = `${name}-${turn}`
    const service = pick(services)
    const instance = `i${Math.floor(random() * instancesOfService)}`
    const key = `${service}/${instance}`
    const path = `/services/${service}/instances/${instance}`
    const kind = random()
    const hangsUp = random() < 0.03
    const patienceMs = hangsUp ? 1 + Math.round(random() * 10) : 5_000
    const url = pinned ? home : pick(urls)
    const ask = async (question: Omit<Question, 'actor' | 'patienceMs'>) => {
      const invokedAt = performance.now()
      const answer = await client.ask(url, { ...question, actor: id, patienceMs })
      const completedAt = performance.now()
      const [status, revision] = [answer?.status ?? null, answer?.revision ?? null]
      if (answer !== null && answer.status < 500) seen = Math.max(seen, revision ?? 0)
      const common = { id, client: name, invokedAt, completedAt, status, revision }
      return { common, body: answer?.body ?? null, failed: status === null || status >= 500 }
    }
    const write = async (
      what: 'register' | 'deregister' | 'override' | 'clear' | 'beat',
      question: Pick<Question, 'method' | 'path' | 'body'>,
    ): Promise<boolean> => {
      const { common, failed } = await ask(question)
      record({ ...common, kind: what, key })
      return failed
    }
    /** Of several instances, each at most once. A line without a result is one that nobody knows of. */
    const batch = async (): Promise<boolean> => {
      const keys = new Set(
        Array.from(
          { length: 1 + Math.floor(random() * linesOfBatch) },
          () => `${pick(services)}/i${Math.floor(random() * instancesOfService)}`,
        ),
      )
      const lines = [...keys].map(of => {
        const [to, name] = of.split('/')
        const ref = { service: to, id: name }
        const body = { address: '127.0.0.1', port: 9, lease: null, metadata: { mark: `${id}/${of}` } }
        return random() < 0.7 ? { ...ref, ...body } : { op: 'deregister', ...ref }
      })
      const { common, body, failed } = await ask({ method: 'POST', path: '/instances:batch', lines })
      const results = common.status === 200 ? (body as readonly BatchResultView[]) : []
      for (const [index, of] of [...keys].entries()) {
        const { status = common.status === 200 ? null : common.status, revision = null } =
          results[index] ?? {}
        const what = 'op' in (lines[index] ?? {}) ? 'deregister' : 'register'
        record({ ...common, id: `${id}/${of}`, kind: what, key: of, status, revision })
        seen = Math.max(seen, revision ?? 0)
      }
      return failed || results.some(({ status }) => status >= 500)
    }
    const read = async (whole: boolean, query: string, minRevision: number | null): Promise<boolean> => {
      const at = whole ? `/services/${service}/instances` : path
      const { common, body, failed } = await ask({ method: 'GET', path: `${at}${query}` })
      const shown = common.status === 200 ? statesIn(body) : {}
      const monotonic = pinned || minRevision !== null
      const of = whole ? null : key
      record({ ...common, kind: 'read', service, key: of, minRevision, monotonic, seen: shown })
      return failed
    }
    /** Of what it has been told once, from wherever; it may be any age. */
    const past = async (at: number): Promise<boolean> => {
      const { common, body, failed } = await ask({
        method: 'GET',
        path: `/services/${service}/instances?at=${at}`,
      })
      const shown = common.status === 200 ? statesIn(body) : {}
      const of = { service, key: null, minRevision: null, monotonic: false, seen: shown }
      record({ ...common, kind: 'read', ...of, revision: common.revision === null ? null : at })
      return failed
    }
    let failed: boolean
    if (kind < 0.08) failed = await batch()
    else if (kind < 0.3) {
      const lease = random() < 0.5 ? null : { ttl: '1h' }
      const body = { address: '127.0.0.1', port: 9, lease, metadata: { mark: id } }
      failed = await write('register', { method: 'PUT', path, body })
    } else if (kind < 0.4) failed = await write('deregister', { method: 'DELETE', path })
    else if (kind < 0.48) {
      const body = { status: 'maintenance', reason: id }
      failed = await write('override', { method: 'PUT', path: `${path}/override`, body })
    } else if (kind < 0.54) {
      failed = await write('clear', { method: 'PUT', path: `${path}/override`, body: { status: 'none' } })
    } else if (kind < 0.62) {
      const body = random() < 0.5 ? {} : { status: pick(['passing', 'warning', 'critical']), output: id }
      failed = await write('beat', { method: 'PUT', path: `${path}/heartbeat`, body })
    } else {
      const least = pinned ? null : seen
      const min = least === null ? '' : `?minRevision=${least}`
      // A blocking query waits for something newer than what its client has seen.
      if (kind < 0.7) failed = await read(true, `?index=${seen}&wait=300ms`, seen)
      else if (kind < 0.74) failed = await past(1 + Math.floor(random() * seen))
      else failed = await read(kind < 0.8, min, least)
    }
    if (failed) await delay(afterFailureMs)
  }
  client.close()
}
