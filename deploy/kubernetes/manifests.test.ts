import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { UserError } from '../local/user-error.ts'
import {
  containersOf,
  portNumber,
  selects,
  type Deployment,
  type DisruptionBudget,
  type Manifest,
  type Namespace,
  type NetworkPolicy,
  type Service,
} from './manifest.ts'
import { findKustomize, findValidator, runTool, type Tool } from './tools.ts'

/** The oldest that has sidecar containers by default, and the newest. */
const kubernetesVersions = ['1.29', '1.37']
const overlays = ['base', 'examples'] as const

const folderOf = (overlay: string): string => fileURLToPath(new URL(overlay, import.meta.url))

let missing: string | null = null
let validator: Tool
const rendered = new Map<string, string>()

beforeAll(async () => {
  try {
    const [kustomize, found] = await Promise.all([findKustomize(), findValidator()])
    validator = found
    for (const overlay of overlays) rendered.set(overlay, await runTool(kustomize, folderOf(overlay)))
  } catch (error) {
    // Elsewhere than in CI a machine may lack what it takes.
    if (process.env['CI'] === 'true' || !(error instanceof UserError)) throw error
    missing = error.message
  }
}, 300_000)

beforeEach(context => {
  if (missing !== null) context.skip(missing)
})

const textOf = (overlay: string): string => rendered.get(overlay) ?? ''
const objectsOf = (overlay: string): Manifest[] =>
  parseAllDocuments(textOf(overlay)).map(document => document.toJS() as Manifest)
const ofKind = <T extends Manifest>(kind: T['kind']): T[] =>
  objectsOf('examples').filter((object): object is T => object.kind === kind)

const deployment = (name: string): Deployment => {
  const found = ofKind<Deployment>('Deployment').find(({ metadata }) => metadata.name === name)
  if (found === undefined) throw new Error(`there is no deployment ${name}`)
  return found
}

/** The pods of a namespace that a selector selects, by the deployment that makes them. */
const podsOf = (namespace: string | undefined, selector: Readonly<Record<string, string>> | undefined) =>
  ofKind<Deployment>('Deployment').filter(
    ({ metadata, spec }) =>
      metadata.namespace === namespace && selects(selector, spec.template.metadata.labels),
  )

describe.each(overlays)('the manifests of %s', overlay => {
  it.each(kubernetesVersions)(
    'fit the schemas of Kubernetes %s',
    async version => {
      const folder = await mkdtemp(join(tmpdir(), 'waymark-manifests-'))
      try {
        const file = join(folder, 'rendered.yaml')
        await writeFile(file, textOf(overlay))
        await expect(runTool(validator, '-k', version, file)).resolves.not.toContain('ERROR')
      } finally {
        await rm(folder, { recursive: true })
      }
    },
    60_000,
  )

  it('hold no secret', () => {
    expect(objectsOf(overlay).map(({ kind }) => kind)).not.toContain('Secret')
    expect(textOf(overlay)).not.toMatch(/postgres:\/\//)
  })
})

it('the validator finds what is wrong', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-manifests-'))
  try {
    const file = join(folder, 'wrong.yaml')
    await writeFile(file, textOf('base').replace('replicas: 2', 'replicaz: 2'))
    await expect(runTool(validator, '-k', '1.37', file)).rejects.toThrow('replicaz')
  } finally {
    await rm(folder, { recursive: true })
  }
}, 60_000)

describe('the control plane', () => {
  it('runs twice, and one replica may not be taken away with the other', () => {
    expect(deployment('waymark').spec.replicas).toBe(2)
    const [budget, ...more] = ofKind<DisruptionBudget>('PodDisruptionBudget')
    expect(more).toEqual([])
    expect(budget?.spec.minAvailable).toBe(1)
    expect(podsOf(budget?.metadata.namespace, budget?.spec.selector.matchLabels)).toEqual([
      deployment('waymark'),
    ])
  })

  it('is asked whether it lives and whether it is ready', () => {
    const [container] = deployment('waymark').spec.template.spec.containers
    if (container === undefined) throw new Error('no container')
    const { livenessProbe, readinessProbe, startupProbe } = container
    for (const [probe, path] of [
      [startupProbe, '/healthz'],
      [livenessProbe, '/healthz'],
      [readinessProbe, '/readyz'],
    ] as const) {
      expect(probe?.httpGet?.path).toBe(path)
      expect(portNumber(container, probe?.httpGet?.port ?? 0)).toBe(7400)
    }
  })

  it('gets its database from a secret', () => {
    const [container] = deployment('waymark').spec.template.spec.containers
    const url = container?.env?.find(({ name }) => name === 'DATABASE_URL')
    expect(url?.valueFrom?.secretKeyRef).toEqual({ name: 'waymark-database', key: 'url' })
  })

  it('may be reached from the namespaces of the mesh, on both ports', () => {
    const policy = ofKind<NetworkPolicy>('NetworkPolicy').find(({ metadata }) => metadata.name === 'waymark')
    const [rule] = policy?.spec.ingress ?? []
    expect(rule?.ports.map(({ port }) => port)).toEqual([7400, 7401])
    const example = ofKind<Namespace>('Namespace').find(({ metadata }) => metadata.name === 'waymark-example')
    expect(rule?.from?.map(({ namespaceSelector }) => namespaceSelector?.matchLabels)).toEqual([
      { 'waymark.mesh': 'member' },
    ])
    expect(selects(rule?.from?.[0]?.namespaceSelector?.matchLabels, example?.metadata.labels)).toBe(true)
  })
})

describe('all workloads', () => {
  it('select their own pods', () => {
    const deployments = ofKind<Deployment>('Deployment')
    expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual(['orders', 'payments', 'waymark'])
    for (const one of deployments) {
      expect(podsOf(one.metadata.namespace, one.spec.selector.matchLabels)).toEqual([one])
    }
  })

  it('name an image with a version', () => {
    for (const container of ofKind<Deployment>('Deployment').flatMap(containersOf)) {
      expect(container.image).toMatch(/^\S+\/waymark-[a-z-]+:\d+\.\d+\.\d+$/)
    }
  })

  it('have no rights that they do not need, and limits', () => {
    for (const one of ofKind<Deployment>('Deployment')) {
      const pod = one.spec.template.spec
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 30,
        securityContext: { runAsNonRoot: true, runAsUser: 65_532 },
      })
      for (const container of containersOf(one)) {
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        expect(container.resources).toMatchObject({
          requests: { cpu: expect.any(String) as string, memory: expect.any(String) as string },
          limits: { memory: expect.any(String) as string },
        })
      }
    }
  })
})

describe('the services', () => {
  it('lead to ports that their pods have', () => {
    const services = ofKind<Service>('Service')
    expect(services.map(({ metadata }) => metadata.name).sort()).toEqual(['waymark', 'waymark-xds'])
    for (const { metadata, spec } of services) {
      const pods = podsOf(metadata.namespace, spec.selector)
      expect(pods).toHaveLength(1)
      for (const { port, targetPort } of spec.ports) {
        const containers = pods.flatMap(containersOf)
        expect(containers.map(container => portNumber(container, targetPort))).toContain(port)
      }
    }
  })

  it('show sidecars every replica', () => {
    const xds = ofKind<Service>('Service').find(({ metadata }) => metadata.name === 'waymark-xds')
    expect(xds?.spec.clusterIP).toBe('None')
  })
})

describe.each(['orders', 'payments'])('the example %s', name => {
  it('starts its bootstrap, then its sidecar, then itself', () => {
    const { initContainers, containers } = deployment(name).spec.template.spec
    expect(initContainers?.map(container => [container.name, container.restartPolicy])).toEqual([
      ['bootstrap', undefined],
      ['sidecar', 'Always'],
    ])
    expect(containers.map(container => container.name)).toEqual(['application'])
    const sidecar = initContainers?.[1]
    if (sidecar === undefined) throw new Error('no sidecar')
    for (const probe of [sidecar.startupProbe, sidecar.readinessProbe]) {
      expect(probe?.httpGet?.path).toBe('/ready')
      expect(portNumber(sidecar, probe?.httpGet?.port ?? 0)).toBe(15_021)
    }
    const args = initContainers?.[0]?.args
    expect(args).toEqual(expect.arrayContaining(['--prometheus-port=15090', '--ready-port=15021']))
    expect(args).toContain(`--memory-limit=${sidecar.resources?.limits?.['memory'] ?? ''}`)
  })

  it('gets a bootstrap from the arguments that its first container has', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'waymark-manifests-'))
    try {
      const output = join(folder, 'bootstrap.json')
      const container = containersOf(deployment(name)).find(one => one.name === 'bootstrap')
      const args = container?.args?.map(arg =>
        arg
          .replace(/^\/app\//, fileURLToPath(new URL('../../', import.meta.url)))
          .replace('$(POD_NAME)', `${name}-5d9c-x7k2p`)
          .replace('/etc/envoy/bootstrap.json', output),
      )
      await runTool({ command: process.execPath, args: [], env: process.env }, ...(args ?? []))
      expect(JSON.parse(await readFile(output, 'utf8'))).toMatchObject({
        node: { id: `${name}/${name}-5d9c-x7k2p`, cluster: name },
      })
    } finally {
      await rm(folder, { recursive: true })
    }
  }, 30_000)

  it('finds the control plane under the names that the services have', () => {
    const known = ofKind<Service>('Service').flatMap(({ metadata, spec }) =>
      spec.ports.map(({ port }) => `${metadata.name}.${metadata.namespace ?? ''}.svc:${port}`),
    )
    const containers = containersOf(deployment(name))
    const bootstrap = containers.find(container => container.name === 'bootstrap')
    const address = bootstrap?.args?.find(arg => arg.startsWith('--control-plane='))?.split('=')[1]
    expect(known).toContain(address)
    const application = containers.find(container => container.name === 'application')
    const url = application?.env?.find(variable => variable.name === 'WAYMARK_API')?.value
    expect(known).toContain(new URL(url ?? '').host)
    expect(address).not.toBe(new URL(url ?? '').host)
  })

  it('lets callers in through the sidecar, and checks in from the control plane', () => {
    const policies = ofKind<NetworkPolicy>('NetworkPolicy').filter(
      ({ metadata }) => metadata.namespace === 'waymark-example',
    )
    const rules = policies.flatMap(({ spec }) => spec.ingress)
    const open = rules.filter(({ from }) => from === undefined).flatMap(({ ports }) => ports)
    expect(open.map(({ port }) => port)).toEqual([15_006, 15_090])
    const checks = rules.find(({ from }) => from !== undefined)
    expect(checks?.ports).toMatchObject([{ port: 8_080 }])
    expect(podsOf('waymark', checks?.from?.[0]?.podSelector?.matchLabels)).toEqual([deployment('waymark')])
  })
})
