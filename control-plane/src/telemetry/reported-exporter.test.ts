import { InMemorySpanExporter, type SpanExporter } from '@opentelemetry/sdk-trace'
import { expect, it } from 'vitest'
import { silentLogger } from '../runtime/logger.ts'
import { ReportedExporter } from './reported-exporter.ts'

it('says once that spans are not taken and why, and once that they are again', async () => {
  const [good, bad] = [new InMemorySpanExporter(), new InMemorySpanExporter()]
  await bad.shutdown()
  let next: SpanExporter = good
  const said: string[] = []
  const exporter = new ReportedExporter({
    exporter: {
      export: (spans, done) => {
        next.export(spans, done)
      },
      shutdown: () => good.shutdown(),
    },
    logger: {
      ...silentLogger,
      warn: (fields, message) => said.push(`${message} ${JSON.stringify(fields)}`),
      info: (_, message) => said.push(message),
    },
  })
  const errors: (string | undefined)[] = []
  for (next of [good, bad, bad, good, good, bad])
    await new Promise<void>(resolve => {
      exporter.export([], ({ error }) => {
        errors.push(error?.message)
        resolve()
      })
    })
  const why = 'Exporter has been stopped'
  expect(errors).toEqual([undefined, why, why, undefined, undefined, why])
  const failing = `spans are not taken {"error":"${why}"}`
  expect(said).toEqual([failing, 'spans are taken again', failing])
})
