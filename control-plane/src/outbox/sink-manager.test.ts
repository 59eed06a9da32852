import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { silentLogger } from '../runtime/logger.ts'
import type { SinkDefinition } from './sink-definition.ts'
import { SinkManager, type SinkPublisher } from './sink-manager.ts'
import type { SinkStatus } from './sink-status.ts'

const definition = (name: string, version: string, origin: SinkDefinition['origin']): SinkDefinition => ({
  name,
  version,
  origin,
  start: 'oldest',
  wants: () => true,
  target: { from: 'configuration', config: { kind: 'stdout', name, start: 'oldest' } },
})

/** Says when it runs, and ends only when it is let. */
class ModelPublisher implements SinkPublisher {
  readonly name: string
  #end = Promise.withResolvers<undefined>()

  constructor(name: string, log: string[]) {
    this.name = name
    this.start = async signal => {
      log.push(`start ${name}`)
      signal.addEventListener('abort', () => {
        log.push(`stop ${name}`)
      })
      await this.#end.promise
      log.push(`ended ${name}`)
    }
  }

  readonly start: (signal: AbortSignal) => Promise<void>

  wake(): void {
    // Nothing waits for it.
  }

  observe(): Promise<void> {
    return Promise.resolve()
  }

  status(): SinkStatus {
    throw new Error('nobody asks')
  }

  end(): void {
    this.#end.resolve(undefined)
  }
}

const setUp = (configured: readonly string[] = []) => {
  const log: string[] = []
  const made: ModelPublisher[] = []
  let documents: SinkDefinition[] = []
  let forgets = 0
  const manager = new SinkManager({
    configured: configured.map(name => definition(name, 'configuration', 'configuration')),
    documents: () => documents,
    createPublisher: ({ name, version }) => {
      const publisher = new ModelPublisher(`${name}@${version}`, log)
      made.push(publisher)
      return publisher
    },
    orphans: {
      statuses: [],
      look: () => {
        forgets += 1
        return Promise.resolve()
      },
    },
    clock: new ManualClock(),
    logger: silentLogger,
  })
  const abort = new AbortController()
  const ended = manager.start(abort.signal)
  return {
    manager,
    log,
    made,
    abort,
    ended,
    forgets: () => forgets,
    apply: (...sinks: readonly [string, string][]) => {
      documents = sinks.map(([name, version]) => definition(name, version, 'document'))
      manager.reconcile()
    },
  }
}
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('the manager of sinks', () => {
  it('runs the next version of a sink only when the one before has ended', async () => {
    const { apply, log, made, abort, ended } = setUp()
    apply(['hook', '1'])
    await turn()
    apply(['hook', '2'])
    apply(['hook', '3'])
    await turn()
    expect(log).toEqual(['start hook@1', 'stop hook@1'])
    for (const publisher of made) publisher.end()
    await turn()
    // The second one was stopped before its turn came.
    expect(log.filter(line => line.startsWith('start')).at(-1)).toBe('start hook@3')
    expect(log.indexOf('ended hook@1')).toBeLessThan(log.indexOf('start hook@3'))
    abort.abort()
    await ended
  })

  it('forgets what a deleted sink has left, once it has ended', async () => {
    const { apply, made, abort, ended, forgets } = setUp()
    await turn()
    expect(forgets()).toBe(1)
    apply(['hook', '1'])
    apply()
    await turn()
    expect(forgets()).toBe(1)
    made[0]?.end()
    await turn()
    expect(forgets()).toBe(2)
    abort.abort()
    await ended
  })

  it('keeps names of the configuration, and a bound', async () => {
    const { manager, apply, made, abort, ended } = setUp(['fixed'])
    apply(...Array.from({ length: 80 }, (_, index): [string, string] => [`s${index}`, '1']), ['fixed', '9'])
    await turn()
    expect(made.map(({ name }) => name)).not.toContain('fixed@9')
    expect(made).toHaveLength(64)
    expect(manager.refuses('fixed')).toMatch(/configuration/)
    expect(manager.refuses('another')).toMatch(/64 sinks/)
    expect(manager.refuses('s1')).toBeNull()
    for (const publisher of made) publisher.end()
    abort.abort()
    await ended
  })
})
