import { machineTime } from '../harness/machine-time.ts'
import type { ChangeReceipt } from './generator/receipts.ts'
import { maxChanges, portOfChange } from './generator/receipts.ts'
import { HttpClient } from './http-client.ts'
import { instanceAt, seededRandom, type MeshSize } from './workload.ts'

export interface NumberedChange {
  readonly number: number
  readonly service: string
  /** `machineTime`: when it was due, and when REST had answered. */
  readonly due: number
  readonly answered: number
}

const clients = 16
const attempts = 100
const againMs = 200
/** An instance is left alone for so many changes: a port that is overwritten at once would never be seen. */
const rest = 256

export interface ChangeLoadOptions {
  readonly url: string
  readonly size: MeshSize
  readonly seed: number
}

/**
 * Changes random instances of a mesh over REST at a fixed rate, whether the server keeps up or not. Each change
 * gives its instance a port that no other has (`portOfChange`); within a service one follows the other, so that
 * numbers grow with the revision.
 */
export class ChangeLoad {
  /** Code of a 503 -> how often it was the answer. Such a change is sent again. */
  readonly refused = new Map<string, number>()
  readonly #options: ChangeLoadOptions
  readonly #random: () => number
  #free: HttpClient[] = []
  readonly #waiting: ((client: HttpClient) => void)[] = []
  /** The last change of each service. */
  readonly #ofService = new Map<string, Promise<unknown>>()
  readonly #recent: number[] = []
  #last = 0

  constructor(options: ChangeLoadOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
  }

  /** Resolves when all are answered. Rejects when one is refused. */
  async run(count: number, perSecond: number): Promise<readonly NumberedChange[]> {
    if (this.#last + count > maxChanges) throw new Error(`more than ${maxChanges} changes in one run`)
    // New ones each time: the server closes those that were idle for long.
    const connections = await Promise.all(
      Array.from({ length: clients }, () => HttpClient.open(this.#options.url)),
    )
    this.#free = [...connections]
    try {
      return await this.#changes(count, perSecond)
    } finally {
      for (const client of connections) client.close()
    }
  }

  async #changes(count: number, perSecond: number): Promise<readonly NumberedChange[]> {
    const started = machineTime()
    const changes: Promise<NumberedChange>[] = []
    while (changes.length < count) {
      const due = started + (changes.length * 1_000) / perSecond
      const wait = due - machineTime()
      if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
      changes.push(this.#change(due))
      // A failure shows at once instead of at the end.
      changes.at(-1)?.catch(() => undefined)
    }
    return Promise.all(changes)
  }

  async #change(due: number): Promise<NumberedChange> {
    this.#last += 1
    const number = this.#last
    const instance = this.#pick()
    const before = this.#ofService.get(instance.service)
    const done = Promise.resolve(before).then(() => this.#send(number, instance))
    this.#ofService.set(
      instance.service,
      // One that failed is told by `run`; the next one goes on.
      done.catch(() => undefined),
    )
    return { number, service: instance.service, due, answered: await done }
  }

  /** Resolves with the time of the answer. */
  async #send(number: number, { service, id, address }: ReturnType<typeof instanceAt>): Promise<number> {
    const client = this.#free.pop() ?? (await new Promise<HttpClient>(resolve => this.#waiting.push(resolve)))
    const body = JSON.stringify({
      address,
      port: portOfChange(number),
      version: 'v1',
      metadata: { team: 'core' },
      locality: { region: 'r1', zone: 'z1' },
      lease: null,
    })
    const path = `/api/v1/services/${service}/instances/${id}`
    let status = await client.send('PUT', path, body)
    for (let attempt = 1; status === 503 && attempt < attempts; attempt += 1) {
      this.#refuse(client.lastBody)
      await new Promise(resolve => setTimeout(resolve, againMs))
      status = await client.send('PUT', path, body)
    }
    const answered = machineTime()
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(client)
    else next(client)
    if (status !== 200)
      throw new Error(`a change was answered with ${status}: ${client.lastBody.toString('utf8', 0, 500)}`)
    return answered
  }

  /** The server may say that it cannot just now; the time until it can is part of the figures. */
  #refuse(problem: Buffer): void {
    const code = /"code":"(\w+)"/.exec(problem.toString('utf8'))?.[1] ?? 'unknown'
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
  }

  #pick(): ReturnType<typeof instanceAt> {
    const { size } = this.#options
    for (;;) {
      const index = Math.floor(this.#random() * size.instances)
      // `rest` leaves half of the instances free at least.
      if (this.#recent.includes(index)) continue
      this.#recent.push(index)
      if (this.#recent.length > Math.min(rest, size.instances / 2)) this.#recent.shift()
      return instanceAt(index, size)
    }
  }
}

/** Of all changes that somebody subscribes to: ms from due and from answered to the last ACK, and deliveries. */
export interface Convergence {
  readonly fromDue: readonly number[]
  readonly fromAnswer: readonly number[]
  /** Changes times their subscribers. */
  readonly deliveries: number
  /** Changes that have not reached every subscriber. */
  readonly missing: number
}

export const convergenceOf = (
  changes: readonly NumberedChange[],
  receipts: ReadonlyMap<number, { readonly streams: number; readonly last: ChangeReceipt[3] }>,
  subscribers: ReadonlyMap<string, number>,
): Convergence => {
  const fromDue: number[] = []
  const fromAnswer: number[] = []
  let deliveries = 0
  let missing = 0
  for (const { number, service, due, answered } of changes) {
    const expected = subscribers.get(service) ?? 0
    if (expected === 0) continue
    deliveries += expected
    const receipt = receipts.get(number)
    if (receipt === undefined || receipt.streams < expected) {
      missing += 1
      continue
    }
    fromDue.push(receipt.last - due)
    fromAnswer.push(receipt.last - answered)
  }
  return { fromDue, fromAnswer, deliveries, missing }
}
