import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'
import { eachBytesField, type DeltaResource } from './delta-response.ts'

/** A version of the watched endpoints that every stream has. */
export interface VersionReceipt {
  readonly version: string
  /** When each stream got it, in `machineTime`, in order. */
  readonly at: readonly number[]
}

/**
 * When the endpoints of one service arrive. A version is told as soon as as many streams have it as were
 * expected; whoever asks before waits.
 */
export class VersionReceipts {
  readonly #service: string
  readonly #arriving = new Map<string, number[]>()
  readonly #complete: VersionReceipt[] = []
  readonly #waiting: ((receipt: VersionReceipt) => void)[] = []
  #expected = Number.POSITIVE_INFINITY

  constructor(service: string) {
    this.#service = service
  }

  /** Forgets what has come so far, and counts up to `streams` from now on. */
  expect(streams: number): void {
    this.#expected = streams
    this.#arriving.clear()
    this.#complete.length = 0
  }

  see(typeUrl: string, { name, version }: DeltaResource, at: number): void {
    if (typeUrl !== endpointType || name !== this.#service) return
    let times = this.#arriving.get(version)
    if (times === undefined) {
      times = []
      this.#arriving.set(version, times)
    }
    times.push(at)
    if (times.length < this.#expected) return
    this.#arriving.delete(version)
    const receipt = { version, at: times }
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#complete.push(receipt)
    else waiting(receipt)
  }

  next(): Promise<VersionReceipt> {
    const known = this.#complete.shift()
    if (known !== undefined) return Promise.resolve(known)
    return new Promise(resolve => {
      this.#waiting.push(resolve)
    })
  }
}

/** The port that an instance gets by the change with this number: above all ports of instances never changed. */
export const portOfChange = (change: number): number => 1_024 + change

/** The most changes that one run can tell apart. */
export const maxChanges = 65_535 - 1_024

/** [change, streams that have it, when the first and when the last of them had it]. */
export type ChangeReceipt = readonly [change: number, streams: number, first: number, last: number]

/**
 * Tells by which time a numbered change was at how many streams, also where changes of a service were merged: a
 * stream that gets the service's third change without its second has both. The change's number is in the port
 * that it gave an instance; numbers grow with the revision within a service.
 */
export class ChangeReceipts {
  /** Service -> the highest number in each version, read once per version. */
  readonly #numbers = new Map<string, Map<string, number>>()
  /** Service -> the numbers that any of its versions had. */
  readonly #seen = new Map<string, Set<number>>()
  readonly #receipts = new Map<number, { streams: number; first: number; last: number }>()

  /** `had`: the highest number that this stream had of this service; returns what it has now. */
  see({ name, version, body }: DeltaResource, had: number, at: number): number {
    let numbers = this.#numbers.get(name)
    if (numbers === undefined) {
      numbers = new Map()
      this.#numbers.set(name, numbers)
    }
    let number = numbers.get(version)
    if (number === undefined) {
      const inIt = portsOf(body).map(port => port - portOfChange(0))
      number = Math.max(...inIt, -1)
      numbers.set(version, number)
      this.#note(
        name,
        inIt.filter(one => one >= 0),
      )
    }
    if (number <= had) return had
    for (const change of this.#between(name, had, number)) {
      const receipt = this.#receipts.get(change)
      if (receipt === undefined) this.#receipts.set(change, { streams: 1, first: at, last: at })
      else {
        receipt.streams += 1
        receipt.last = at
      }
    }
    return number
  }

  all(): ChangeReceipt[] {
    return [...this.#receipts].map(([change, { streams, first, last }]) => [change, streams, first, last])
  }

  #note(service: string, numbers: readonly number[]): void {
    const seen = this.#seen.get(service) ?? new Set()
    this.#seen.set(service, seen)
    for (const number of numbers) seen.add(number)
  }

  *#between(service: string, after: number, upTo: number): Generator<number> {
    for (const number of this.#seen.get(service) ?? []) if (number > after && number <= upTo) yield number
  }
}

/** Of a ClusterLoadAssignment: the field numbers of endpoint.proto down to `SocketAddress`. */
const portsOf = (body: Buffer): number[] => {
  const ports: number[] = []
  const path = [2, 2, 1, 1, 1]
  const walk = (message: Buffer, depth: number): void => {
    if (depth === path.length) ports.push(portValue(message))
    else
      eachBytesField(message, (number, value) => {
        if (number === path[depth]) walk(value, depth + 1)
      })
  }
  walk(body, 0)
  return ports
}

/** `SocketAddress`: address is field 2 (text), port_value field 3 (number); nothing else that is set is a number. */
const portValue = (message: Buffer): number => {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 1; at < message.length; shift *= 128) {
      const byte = message[at] ?? 0
      at += 1
      value += (byte & 0x7f) * shift
      if (byte < 0x80) break
    }
    return value
  }
  while (at < message.length) {
    const tag = varint()
    if ((tag & 7) === 2) {
      const length = varint()
      at += length
    } else {
      const value = varint()
      if (tag >>> 3 === 3) return value
    }
  }
  return 0
}
