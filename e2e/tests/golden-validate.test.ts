import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findEnvoy } from '@waymark/deploy/local/envoy.ts'
import { goldenCases } from '@waymark/sidecar-config/testing/golden-cases.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

type Json = Readonly<Record<string, unknown>>

const cases = goldenCases()

/** A golden resource, without the name of its type. */
const golden = (name: string): Json => {
  const found = cases.find(candidate => candidate.name === name)
  if (found === undefined) throw new Error(`There is no golden case ${name}`)
  const { '@type': _, ...resource } = found.json
  return resource
}

const emptyCluster = (name: string): Json => ({ name, type: 'STATIC' })

/** Makes a resource that a sidecar gets by xDS part of a bootstrap, which Envoy can then validate. */
const withResource = (resources: { clusters?: readonly Json[]; listeners?: readonly Json[] }): Json => {
  const bootstrap = golden('bootstrap-minimal')
  const { clusters, ...rest } = bootstrap['static_resources'] as { clusters: readonly Json[] }
  return {
    ...bootstrap,
    static_resources: {
      ...rest,
      clusters: [...clusters, ...(resources.clusters ?? [])],
      listeners: resources.listeners ?? [],
    },
  }
}

/** The outbound listener with these routes inside, where it would ask for them over RDS. */
const withRoutes = (routes: Json): Json => {
  const text = JSON.stringify(golden('listener-outbound'))
  const listener = JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('rds' in value)) return value
    const { rds: _rds, ...manager } = value
    return { ...manager, routeConfig: routes }
  }) as Json
  const names = [...JSON.stringify(routes).matchAll(/"cluster":"([^"]+)"/g)].map(match => match[1] ?? '')
  return withResource({ clusters: names.map(emptyCluster), listeners: [listener] })
}

const bootstrapOf = (name: string): Json => {
  const resource = golden(name)
  const kind = name.split('-', 1)[0]
  switch (kind) {
    case 'bootstrap':
      return resource
    case 'cluster':
      return withResource({ clusters: [resource] })
    case 'endpoints':
      return withResource({ clusters: [{ ...emptyCluster('payments'), loadAssignment: resource }] })
    case 'listener':
      // What its routes and its tracing name.
      return withResource({
        clusters: [golden('cluster-inbound-http'), golden('cluster-otlp-grpc')],
        listeners: [resource],
      })
    case 'routes':
      return withRoutes(resource)
    default:
      throw new Error(`No way is known to validate ${name}`)
  }
}

describe('every golden resource and bootstrap', () => {
  let envoy = ''
  let directory = ''
  beforeAll(async () => {
    envoy = (await findEnvoy()).path
    directory = await mkdtemp(join(tmpdir(), 'waymark-golden-'))
  })
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  const validate = async (name: string, bootstrap: Json): Promise<string> => {
    const file = join(directory, `${name}.json`)
    await writeFile(file, JSON.stringify(bootstrap))
    const { stdout, stderr } = await promisify(execFile)(envoy, ['--mode', 'validate', '-c', file], {
      timeout: 20_000,
    }).catch((error: unknown) => ({ stdout: '', stderr: String(error) }))
    return stdout + stderr
  }

  it.each(cases)('$name is accepted by Envoy', async ({ name }) => {
    expect(await validate(name, bootstrapOf(name))).toMatch(/\bOK\n?$/m)
  })

  it('would be refused if it were wrong', async () => {
    const routes = JSON.parse(
      JSON.stringify(golden('routes-several')).replace('"numRetries":2', '"numRetries":-2'),
    ) as Json
    expect(await validate('broken', withRoutes(routes))).toMatch(/numRetries/)
    const unknown = withResource({ listeners: [golden('listener-inbound')] })
    expect(await validate('dangling', unknown)).toMatch(/unknown cluster '_inbound'/)
  })
})
