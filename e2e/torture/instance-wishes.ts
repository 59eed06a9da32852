import type { BatchResultView } from '@waymark/control-plane/rest/schemas/batch.ts'
import type { InstanceView } from '@waymark/control-plane/rest/schemas/instance.ts'
import type { ItemState } from './history.ts'
import { instanceKey, instanceState } from './reduce.ts'
import type { Session, Turn } from './session.ts'
import type { Question } from './torture-client.ts'

const instancesOfService = 4
/** Lines of a batch, at most. */
const linesOfBatch = 8

const statesIn = (body: unknown): Record<string, ItemState> => {
  const { instances } = body as { instances?: readonly InstanceView[] }
  const all = instances ?? [body as InstanceView]
  return Object.fromEntries(all.map(one => [instanceKey(one), instanceState(one)]))
}

const pickInstance = ({ random }: Session): string => `i${Math.floor(random() * instancesOfService)}`

const registration = (mark: string, lease: object | null) => ({
  address: '127.0.0.1',
  port: 9,
  lease,
  metadata: { mark },
})

/** Something that a client does with instances; whether it failed. */
export const wishOfInstance = async (session: Session, turn: Turn): Promise<boolean> => {
  const { random, pinned, seen } = session
  const { id, service } = turn
  const instance = pickInstance(session)
  const key = `${service}/${instance}`
  const path = `/services/${service}/instances/${instance}`
  const kind = random()

  const write = async (
    what: 'register' | 'deregister' | 'override' | 'clear' | 'beat',
    question: Pick<Question, 'method' | 'path' | 'body'>,
  ): Promise<boolean> => {
    const { common, failed } = await session.ask(turn, question)
    session.record({ ...common, kind: what, key })
    return failed
  }
  const read = async (whole: boolean, query: string, minRevision: number | null): Promise<boolean> => {
    const at = whole ? `/services/${service}/instances` : path
    const { common, body, failed } = await session.ask(turn, { method: 'GET', path: `${at}${query}` })
    const shown = common.status === 200 ? statesIn(body) : {}
    const monotonic = pinned || minRevision !== null
    const of = { groups: [service], key: whole ? null : key, unless: null }
    session.record({ ...common, ...of, kind: 'read', minRevision, monotonic, seen: shown })
    return failed
  }
  /** Of what it has been told once, from wherever; it may be any age. */
  const past = async (at: number): Promise<boolean> => {
    const question = { method: 'GET', path: `/services/${service}/instances?at=${at}` }
    const { common, body, failed } = await session.ask(turn, question)
    const shown = common.status === 200 ? statesIn(body) : {}
    const of = {
      groups: [service],
      key: null,
      unless: null,
      minRevision: null,
      monotonic: false,
      seen: shown,
    }
    session.record({ ...common, ...of, kind: 'read', revision: common.revision === null ? null : at })
    return failed
  }

  if (kind < 0.08) return batch(session, turn)
  if (kind < 0.3) {
    const lease = random() < 0.5 ? null : { ttl: '1h' }
    return write('register', { method: 'PUT', path, body: registration(id, lease) })
  }
  if (kind < 0.4) return write('deregister', { method: 'DELETE', path })
  if (kind < 0.48) {
    const body = { status: 'maintenance', reason: id }
    return write('override', { method: 'PUT', path: `${path}/override`, body })
  }
  if (kind < 0.54)
    return write('clear', { method: 'PUT', path: `${path}/override`, body: { status: 'none' } })
  if (kind < 0.62) {
    const report = { status: session.pick(['passing', 'warning', 'critical']), output: id }
    const body = random() < 0.5 ? {} : report
    return write('beat', { method: 'PUT', path: `${path}/heartbeat`, body })
  }
  // A blocking query waits for something newer than what its client has seen.
  if (kind < 0.7) return read(true, `?index=${seen}&wait=300ms`, seen)
  if (kind < 0.74) return past(Math.floor(random() * (seen + 1)))
  const least = pinned ? null : seen
  return read(kind < 0.8, least === null ? '' : `?minRevision=${least}`, least)
}

/** Of several instances, each at most once. A line without a result is one that nobody knows of. */
const batch = async (session: Session, turn: Turn): Promise<boolean> => {
  const { random } = session
  const keys = new Set(
    Array.from(
      { length: 1 + Math.floor(random() * linesOfBatch) },
      () => `${session.pickService()}/${pickInstance(session)}`,
    ),
  )
  const lines = [...keys].map(of => {
    const [service, id] = of.split('/')
    const ref = { service, id }
    return random() < 0.7
      ? { ...ref, ...registration(`${turn.id}/${of}`, null) }
      : { op: 'deregister', ...ref }
  })
  const { common, body, failed } = await session.ask(turn, {
    method: 'POST',
    path: '/instances:batch',
    lines,
  })
  const results = common.status === 200 ? (body as readonly BatchResultView[]) : []
  for (const [index, of] of [...keys].entries()) {
    const { status = common.status === 200 ? null : common.status, revision = null } = results[index] ?? {}
    const kind = 'op' in (lines[index] ?? {}) ? 'deregister' : 'register'
    session.record({ ...common, id: `${turn.id}/${of}`, kind, key: of, status, revision })
    session.seen = Math.max(session.seen, revision ?? 0)
  }
  return failed || results.some(({ status }) => status >= 500)
}
