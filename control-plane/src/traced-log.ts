import type { WriteLog } from './registry/registry.ts'
import type { Telemetry } from './telemetry/telemetry.ts'

/** The same log, with a span around what is written to it. */
export const tracedLog = (log: WriteLog, telemetry: () => Pick<Telemetry, 'withSpan'>): WriteLog => ({
  submit: write =>
    telemetry().withSpan(
      {
        name: 'write',
        traceparent: write.traceparent,
        attributes: { 'waymark.actor': write.actor },
        resultAttributes: ({ revision, changed }) => ({
          'waymark.revision': revision,
          'waymark.changed': changed,
        }),
      },
      traceparent => log.submit({ ...write, traceparent }),
    ),
  // One span for all: a batch may have thousands.
  submitAll: writes => {
    const { actor = '', traceparent: asked = null } = writes[0] ?? {}
    const attributes = { 'waymark.actor': actor, 'waymark.writes': writes.length }
    return telemetry().withSpan({ name: 'write', traceparent: asked, attributes }, traceparent =>
      log.submitAll(traceparent === asked ? writes : writes.map(write => ({ ...write, traceparent }))),
    )
  },
})
