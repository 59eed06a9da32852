import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { RegistrationBody } from '@waymark/control-plane/rest/schemas/registration.ts'
import { Sidecar } from '@waymark/deploy/local/sidecar.ts'
import { expect, inject, it, onTestFinished } from 'vitest'
import { eventually, eventuallyHolds } from '../harness/eventually.ts'
import { serveGreeter, type GreeterBehaviour } from '../harness/grpc-greeter.ts'
import { GrpcProgram } from '../harness/grpc-program.ts'
import { startTestMesh } from '../harness/story.ts'
import type { TestMesh } from '../harness/test-mesh.ts'

const target = 'xds:///payments'

interface ServerOptions {
  readonly service?: string
  readonly registration?: Partial<RegistrationBody>
}

/** A plain gRPC server, registered as an instance. */
const startServer = async (
  mesh: TestMesh,
  id: string,
  { service = 'payments', registration }: ServerOptions = {},
) => {
  let behaviour: GreeterBehaviour = {}
  const server = new Server()
  serveGreeter(server, id, () => behaviour)
  const [port = 0] = await mesh.ports(1)
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), error => {
      if (error === null) resolve()
      else reject(error)
    })
  })
  mesh.onClose(() => {
    server.forceShutdown()
    return Promise.resolve()
  })
  await mesh.api.register(service, id, { address: '127.0.0.1', port, lease: null, ...registration })
  return {
    behave: (next: GreeterBehaviour) => {
      behaviour = next
    },
  }
}

const startProgram = async (mesh: TestMesh, options: { service?: string; nodeId?: string } = {}) => {
  const { service = 'web', nodeId } = options
  const program = await GrpcProgram.start({
    bootstrap: {
      service,
      instance: `${service}-1`,
      locality: { region: 'r', zone: 'a' },
      controlPlane: mesh.replicas.map(({ process }) => process.xds),
    },
    directory: mesh.directory,
    ...(nodeId !== undefined && { nodeId }),
  })
  onTestFinished(() => program.stop())
  return program
}

it('a gRPC client spreads its calls over zones by the weights of the instances', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const zone = (name: string) => ({ region: 'r', zone: name })
  await startServer(mesh, 'payments-1', { registration: { weight: 1, locality: zone('a') } })
  await startServer(mesh, 'payments-2', { registration: { weight: 3, locality: zone('b') } })
  await startServer(mesh, 'payments-3', { registration: { weight: 1, locality: zone('b') } })
  const web = await startProgram(mesh)
  await eventuallyHolds('calls by weight', async () => {
    const tally = await web.call({ target, count: 1_000, clients: 8 })
    expect(Object.keys(tally).sort()).toEqual(['payments-1', 'payments-2', 'payments-3'])
    // Localities are drawn at random: five times the standard deviation.
    for (const [id, share] of Object.entries({ 'payments-1': 0.2, 'payments-2': 0.6, 'payments-3': 0.2 }))
      expect(Math.abs((tally[id] ?? 0) - share * 1_000)).toBeLessThan(80)
  })
  const policy = { spec: { timeouts: { request: '7s' } } }
  const { body } = await mesh.api.ok(
    'PUT',
    '/documents/TrafficPolicy/payments?wait=acked&timeout=30s',
    policy,
  )
  expect(body).toMatchObject({ sidecars: { complete: true, touched: 1, acked: 1, nacked: 0 } })
  await eventuallyHolds('the client to show in sync', async () => {
    const { sidecars } = await mesh.api.sidecars()
    const agent = expect.stringMatching(/^gRPC /) as string
    expect(sidecars).toMatchObject([{ node: 'web/web-1', agent, inSync: true, nacks: [] }])
  })
})

it('a gRPC client follows instances that come, drain and go, and fails no call', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await startServer(mesh, 'payments-1')
  const web = await startProgram(mesh)
  const answers = async (...ids: string[]) => {
    await eventuallyHolds(`answers of ${ids.join(', ')}`, async () => {
      const observer = await web.call({ target, count: 20 })
      expect(Object.keys(observer).sort()).toEqual(ids)
    })
  }
  await answers('payments-1')
  await web.load({ target, clients: 4 })
  await startServer(mesh, 'payments-2')
  await answers('payments-1', 'payments-2')
  await mesh.api.deregister('payments', 'payments-1', '60s')
  await answers('payments-2')
  await startServer(mesh, 'payments-3')
  await answers('payments-2', 'payments-3')
  await mesh.api.deregister('payments', 'payments-2')
  await answers('payments-3')
  // A degraded instance is called as long as there is no better one.
  await mesh.api.ok('PUT', '/services/payments/instances/payments-3/heartbeat', { status: 'warning' })
  await startServer(mesh, 'payments-4')
  await answers('payments-4')
  await mesh.api.deregister('payments', 'payments-4')
  await answers('payments-3')
  const tally = await web.report()
  expect(Object.keys(tally).sort()).toEqual(['payments-1', 'payments-2', 'payments-3', 'payments-4'])
})

it('a gRPC client waits for a service that does not exist yet, and hears when one goes and comes back', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const web = await startProgram(mesh, { nodeId: 'no instance of the mesh' })
  const waiting = web.call({ target, count: 1, deadlineMs: 60_000 })
  await eventually('the client to ask', async () => {
    const { sidecars } = await mesh.api.sidecars()
    return sidecars.some(({ node }) => node === 'no instance of the mesh')
  })
  const impatient = { target, count: 1, waitForReady: false, deadlineMs: 60_000 }
  const unknown = await web.call(impatient)
  expect(Object.keys(unknown).join()).toMatch(/^UNAVAILABLE: /)
  await startServer(mesh, 'payments-1')
  expect(await waiting).toEqual({ 'payments-1': 1 })
  await mesh.api.deregister('payments', 'payments-1')
  await eventuallyHolds('calls to fail', async () => {
    expect(Object.keys(await web.call(impatient)).join()).toMatch(/^UNAVAILABLE: /)
  })
  await startServer(mesh, 'payments-2')
  await eventuallyHolds('calls to pass again', async () => {
    expect(await web.call(impatient)).toEqual({ 'payments-2': 1 })
  })
})

it('a gRPC client repeats calls and limits their time as the policy says, when it says so', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await mesh.api.apply('TrafficPolicy', 'payments', { outlierDetection: { enabled: false } })
  const failing = await startServer(mesh, 'payments-1')
  await startServer(mesh, 'payments-2')
  failing.behave({ code: status.UNAVAILABLE })
  const web = await startProgram(mesh)
  await eventuallyHolds('every second call to fail', async () => {
    const tally = await web.call({ target, count: 20 })
    expect(tally).toEqual({ 'payments-2': 10, 'UNAVAILABLE: payments-1 was told to fail': 10 })
  })
  await mesh.api.apply('TrafficPolicy', 'payments', {
    outlierDetection: { enabled: false },
    retries: { attempts: 2, on: ['unavailable'], backoff: { base: '5ms', max: '20ms' } },
  })
  await eventuallyHolds('every call to pass', async () => {
    expect(await web.call({ target, count: 50 })).toEqual({ 'payments-2': 50 })
  })
  failing.behave({ delayMs: 2_000 })
  await mesh.api.apply('TrafficPolicy', 'web-payments', {
    destination: 'payments',
    caller: 'web',
    timeouts: { request: '300ms' },
  })
  await eventuallyHolds('slow calls to be cut off', async () => {
    const tally = await web.call({ target, count: 4, deadlineMs: 60_000 })
    const outcomes = Object.keys(tally).map(outcome => outcome.replace(/:.*/, ''))
    expect([...new Set(outcomes)].sort()).toEqual(['DEADLINE_EXCEEDED', 'payments-2'])
  })
})

it('a gRPC client leaves out a failing instance and limits its calls', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await mesh.api.apply('TrafficPolicy', 'payments', {
    outlierDetection: {
      consecutiveGatewayFailures: 5,
      interval: '500ms',
      baseEjectionTime: '5s',
      maxEjectionTime: '5s',
    },
    connectionLimits: { requests: 3 },
  })
  const failing = await startServer(mesh, 'payments-1')
  const slow = await startServer(mesh, 'payments-2')
  const web = await startProgram(mesh)
  failing.behave({ code: status.INTERNAL })
  await eventuallyHolds('the failing instance to be left out', async () => {
    expect(await web.call({ target, count: 40 })).toEqual({ 'payments-2': 40 })
  })
  failing.behave({})
  await eventuallyHolds('it to be tried again', async () => {
    const tally = await web.call({ target, count: 40 })
    expect(Object.keys(tally).sort()).toEqual(['payments-1', 'payments-2'])
  })
  failing.behave({ delayMs: 60_000 })
  slow.behave({ delayMs: 60_000 })
  // The library counts a call when it has left, so calls of the same moment would all pass.
  await web.load({ target, clients: 3, deadlineMs: 120_000 })
  await eventuallyHolds('the fourth call to be refused at once', async () => {
    expect(await web.call({ target, count: 1, deadlineMs: 500 })).toEqual({
      'UNAVAILABLE: Call dropped by load balancing policy.': 1,
    })
  })
})

it('a gRPC client finds the same instance for the same key with a ring', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await mesh.api.apply('TrafficPolicy', 'payments', {
    loadBalancing: { policy: 'maglev', hashOn: { header: 'x-user' } },
  })
  for (const id of ['payments-1', 'payments-2', 'payments-3']) await startServer(mesh, id)
  const web = await startProgram(mesh)
  const of = async (user: string) =>
    Object.keys(await web.call({ target, count: 10, metadata: { 'x-user': user } }))
  const users = Array.from({ length: 30 }, (_, index) => `user-${index}`)
  const homes = new Map<string, string[]>()
  for (const user of users) homes.set(user, await of(user))
  expect([...homes.values()].every(ids => ids.length === 1)).toBe(true)
  expect(new Set([...homes.values()].flat()).size).toBe(3)
  for (const user of users) expect(await of(user)).toEqual(homes.get(user))
})

it('gRPC programs go on without a control plane, and follow again when it is back', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  await startServer(mesh, 'payments-1')
  const web = await startProgram(mesh)
  expect(await web.call({ target, count: 5 })).toEqual({ 'payments-1': 5 })
  const { process } = mesh.replica(0)
  await process.kill()
  expect(await web.call({ target, count: 100 })).toEqual({ 'payments-1': 100 })
  await process.start()
  await startServer(mesh, 'payments-2')
  await eventuallyHolds(
    'both to answer',
    async () => {
      expect(Object.keys(await web.call({ target, count: 20 })).sort()).toEqual(['payments-1', 'payments-2'])
    },
    60_000,
  )
})

it('an xDS-enabled gRPC server serves on the address that it has bound', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const [port = 0] = await mesh.ports(1)
  const server = await startProgram(mesh, { service: 'payments' })
  await server.serve(`0.0.0.0:${port}`, 'payments-1')
  await mesh.api.register('payments', 'payments-1', { address: '127.0.0.1', port, lease: null })
  const web = await startProgram(mesh)
  expect(await web.call({ target: 'xds:///payments.mesh', count: 5 })).toEqual({ 'payments-1': 5 })
  await server.stop()
})

it('a gRPC client calls an instance with a sidecar at its sidecar', async () => {
  const mesh = await startTestMesh({ replicas: 1 })
  const [outbound = 0, inbound = 0, admin = 0] = await mesh.ports(3)
  await mesh.api.apply('Service', 'payments', { protocol: 'grpc' })
  await startServer(mesh, 'payments-1', { registration: { sidecar: { port: inbound } } })
  const sidecar = new Sidecar({
    supervisor: mesh.supervisor,
    envoy: inject('envoy'),
    service: 'payments',
    instance: 'payments-1',
    ports: { outbound, inbound, admin },
    controlPlane: [mesh.replica(0).process.xds],
    configDir: mesh.directory,
  })
  sidecar.start()
  await sidecar.waitUntilReady()
  const web = await startProgram(mesh)
  expect(await web.call({ target, count: 5 })).toEqual({ 'payments-1': 5 })
  const stats = await sidecar.admin.stats('^http\\.inbound\\.downstream_rq_completed$')
  expect([...stats.values()]).toEqual([5])
})
