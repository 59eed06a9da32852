import type { Component } from './component.ts'
import type { Logger } from './logger.ts'

interface Stage {
  readonly components: readonly Component[]
  readonly controller: AbortController
  readonly running: Promise<void>[]
}

/** Components that begin and end in groups, each group with a signal of its own. Constructing starts none. */
export class Stages<Name extends string> {
  readonly #stages: Readonly<Record<Name, Stage>>
  readonly #logger: Logger
  readonly #defect = Promise.withResolvers<undefined>()

  constructor(options: {
    readonly stages: Readonly<Record<Name, readonly Component[]>>
    readonly logger: Logger
  }) {
    const entries = Object.entries<readonly Component[]>(options.stages).map(([name, components]) => [
      name,
      { components, controller: new AbortController(), running: [] },
    ])
    // The keys are those of the record that was given.
    this.#stages = Object.fromEntries(entries) as Record<Name, Stage>
    this.#logger = options.logger
  }

  /** Rejects when a component has ended by a defect; resolves after `finish`. */
  get ended(): Promise<void> {
    return this.#defect.promise
  }

  signal(name: Name): AbortSignal {
    return this.#stages[name].controller.signal
  }

  start(name: Name): void {
    const { components, controller, running } = this.#stages[name]
    for (const component of components) {
      running.push(
        component.start(controller.signal).catch((error: unknown) => {
          this.#logger.error({ error, component: component.name }, 'a component ended by a defect')
          this.#defect.reject(error)
        }),
      )
    }
  }

  /** Tells the components of a stage to end; `stop` waits until they have. */
  abort(name: Name): void {
    this.#stages[name].controller.abort()
  }

  async stop(name: Name): Promise<void> {
    this.abort(name)
    await Promise.all(this.#stages[name].running)
  }

  finish(): void {
    this.#defect.resolve(undefined)
  }
}
