import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { RestApp } from './context.ts'
import { namedBatchSchemas } from './schemas/batch.ts'
import { namedChangeSchemas } from './schemas/change.ts'
import { namedDocumentSchemas } from './schemas/document.ts'
import { namedEffectiveSchemas } from './schemas/effective.ts'
import { namedInstanceSchemas } from './schemas/instance.ts'
import { namedLoadSchemas } from './schemas/load.ts'
import { namedProblemSchemas } from './schemas/problem.ts'
import { namedRevisionSidecarsSchemas } from './schemas/revision-sidecars.ts'
import { namedSidecarSchemas } from './schemas/sidecar.ts'
import { namedSidecarConfigSchemas } from './schemas/sidecar-config.ts'
import { namedSinkSchemas } from './schemas/sink.ts'
import { namedStatusSchemas } from './schemas/status.ts'

const schemas = [
  ...namedInstanceSchemas,
  ...namedBatchSchemas,
  ...namedDocumentSchemas,
  ...namedEffectiveSchemas,
  ...namedChangeSchemas,
  ...namedRevisionSidecarsSchemas,
  ...namedSidecarSchemas,
  ...namedSidecarConfigSchemas,
  ...namedLoadSchemas,
  ...namedSinkSchemas,
  ...namedStatusSchemas,
  ...namedProblemSchemas,
]

/** OpenAPI 3.1 at `/openapi.json`, made from the schemas that requests are checked by; its page at `/docs`. */
export const describeApi = async (app: RestApp): Promise<void> => {
  for (const { schema } of schemas) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Waymark',
        version: '1',
        description:
          'Registry, revision log and status of a Waymark mesh. Errors are RFC 9457 problem documents.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'instances', description: 'register, beat, deregister, read' },
        { name: 'services' },
        { name: 'documents', description: 'desired traffic behaviour' },
        { name: 'log', description: 'every change in order' },
        { name: 'sidecars', description: 'what each Envoy has' },
        { name: 'sinks', description: 'where changes are published, and how far each is' },
        { name: 'status' },
        { name: 'shorthand', description: 'four verbs for those who want no more' },
        { name: 'probes' },
      ],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json.$id === 'string' ? json.$id : `schema-${i}`,
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // The page and all it needs come from here; it asks nobody else to judge the description.
    staticCSP:
      "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; " +
      "frame-ancestors 'none'",
    uiConfig: { validatorUrl: null },
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}
