import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from '../runtime/logger.ts'

type Export = SpanExporter['export']

export interface ReportedExporterOptions {
  readonly exporter: SpanExporter
  readonly logger: Logger
}

/** Says when spans begin to be lost, and why, and when they arrive again: of itself the library says nothing. */
export class ReportedExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #logger: Logger
  #failing = false

  constructor({ exporter, logger }: ReportedExporterOptions) {
    this.#exporter = exporter
    this.#logger = logger
  }

  export(...[spans, done]: Parameters<Export>): void {
    this.#exporter.export(spans, result => {
      // SUCCESS is 0; its enum is of a package that only comes with others.
      const failed = Boolean(result.code)
      if (failed && !this.#failing)
        this.#logger.warn({ error: result.error?.message ?? 'no reason given' }, 'spans are not taken')
      if (!failed && this.#failing) this.#logger.info({}, 'spans are taken again')
      this.#failing = failed
      done(result)
    })
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.()
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}
