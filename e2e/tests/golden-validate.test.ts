import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildCluster } from '@waymark/sidecar-config/envoy/cluster.ts'
import { packCluster, packVirtualHost } from '@waymark/sidecar-config/envoy/resource.ts'
import { buildVirtualHost } from '@waymark/sidecar-config/envoy/routes.ts'
import { effectivePolicy } from '@waymark/sidecar-config/model/effective-policy.ts'
import { clusterPolicyOf, routePolicyOf } from '@waymark/sidecar-config/model/traffic-settings.ts'
import { arbitraryPolicies } from '@waymark/sidecar-config/testing/arbitrary-policy.ts'
import { secretFiles } from '@waymark/sidecar-config/bootstrap/control-plane-security.ts'
import { goldenCases, securedInput } from '@waymark/sidecar-config/testing/golden-cases.ts'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import {
  emptyCluster,
  staticBootstrap,
  unpacked,
  untyped,
  withHosts,
  withRoutes,
  type Json,
} from '../harness/static-bootstrap.ts'

const cases = goldenCases()

const golden = (name: string): Json => {
  const found = cases.find(candidate => candidate.name === name)
  if (found === undefined) throw new Error(`There is no golden case ${name}`)
  return untyped(found.json)
}

const withOutbound = (routes: Json): Json => {
  const names = [...JSON.stringify(routes).matchAll(/"cluster":"([^"]+)"/g)].map(match => match[1] ?? '')
  return staticBootstrap({
    clusters: names.map(emptyCluster),
    listeners: [withRoutes(golden('listener-outbound'), routes)],
  })
}

const bootstrapOf = (name: string): Json => {
  const resource = golden(name)
  const kind = name.split('-', 1)[0]
  switch (kind) {
    case 'bootstrap':
      return resource
    case 'cluster':
      return staticBootstrap({ clusters: [resource] })
    case 'endpoints':
      return staticBootstrap({ clusters: [{ ...emptyCluster('payments'), loadAssignment: resource }] })
    case 'listener':
      // What its routes and its tracing name.
      return staticBootstrap({
        clusters: [golden('cluster-inbound-http'), golden('cluster-otlp-grpc')],
        listeners: [resource],
      })
    case 'routes':
      return withOutbound(withHosts(resource, []))
    case 'host':
      return withOutbound(withHosts(golden('routes-outbound'), [resource]))
    default:
      throw new Error(`No way is known to validate ${name}`)
  }
}

describe('every golden resource and bootstrap', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waymark-golden-'))
  })
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  const validate = async (name: string, bootstrap: Json): Promise<string> => {
    const file = join(directory, `${name}.json`)
    await writeFile(file, JSON.stringify(bootstrap))
    const { stdout, stderr } = await promisify(execFile)(
      inject('envoy'),
      ['--mode', 'validate', '-c', file],
      {
        timeout: 20_000,
      },
    ).catch((error: unknown) => ({ stdout: '', stderr: String(error) }))
    return stdout + stderr
  }

  /** The files that a bootstrap names must be there, wherever the test may put them. */
  const withItsFiles = async (bootstrap: Json): Promise<Json> => {
    const moved = (value: unknown): Json =>
      JSON.parse(JSON.stringify(value).replaceAll('/etc/envoy/', `${directory}/`)) as Json
    for (const { path, json } of secretFiles(securedInput)) {
      await writeFile(path.replace('/etc/envoy/', `${directory}/`), JSON.stringify(json))
    }
    return moved(bootstrap)
  }

  it.each(cases)('$name is accepted by Envoy', async ({ name }) => {
    expect(await validate(name, await withItsFiles(bootstrapOf(name)))).toMatch(/\bOK\n?$/m)
  })

  it('so is what any valid policies come to', async () => {
    const clusters: Json[] = []
    const hosts: Json[] = []
    for (const [index, documents] of fc.sample(arbitraryPolicies, 200).entries()) {
      const { settings } = effectivePolicy({ caller: 'web', destination: 'payments', documents })
      const service = `payments-${index}`
      const cluster = buildCluster({ service, protocol: 'http', policy: clusterPolicyOf(settings) })
      clusters.push(unpacked(packCluster(cluster)))
      hosts.push(unpacked(packVirtualHost(buildVirtualHost({ service, policy: routePolicyOf(settings) }))))
    }
    const listener = withRoutes(golden('listener-outbound'), withHosts(golden('routes-outbound'), hosts))
    expect(await validate('random', staticBootstrap({ clusters, listeners: [listener] }))).toMatch(
      /\bOK\n?$/m,
    )
  })

  it('would be refused if it were wrong', async () => {
    const host = JSON.parse(
      JSON.stringify(golden('host-defaults')).replace('"numRetries":2', '"numRetries":-2'),
    ) as Json
    const routes = withHosts(golden('routes-outbound'), [host])
    expect(await validate('broken', withOutbound(routes))).toMatch(/numRetries/)
    const unknown = staticBootstrap({ listeners: [golden('listener-inbound')] })
    expect(await validate('dangling', unknown)).toMatch(/unknown cluster '_inbound'/)
  })
})
