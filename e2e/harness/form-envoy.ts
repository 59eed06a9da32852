import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EnvoyAdmin } from '@waymark/deploy/local/envoy-admin.ts'
import { freePorts } from '@waymark/deploy/local/ports.ts'
import { Supervisor } from '@waymark/deploy/local/processes.ts'
import { inject, onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'
import { bootstrapOf, type XdsForm } from './xds-form.ts'

interface FormEnvoyPorts {
  /** Of the server that it gets its resources from. */
  readonly xds: number
  /** On which it is going to listen besides, as its resources say. */
  readonly listeners?: readonly number[]
}

/** Starts an Envoy that gets its resources in this form, and ends with its test. */
export const startFormEnvoy = async (form: XdsForm, ports: FormEnvoyPorts): Promise<EnvoyAdmin> => {
  const { admin, failed } = await launchFormEnvoy(form, ports)
  await eventually('Envoy to be ready', async () => {
    const error = failed()
    if (error !== null) throw error
    return admin.isReady().catch(() => false)
  })
  return admin
}

/** The same, without waiting for its first configuration. */
export const launchFormEnvoy = async (
  form: XdsForm,
  { xds, listeners }: FormEnvoyPorts,
): Promise<{ readonly admin: EnvoyAdmin; readonly failed: () => Error | null }> => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-form-'))
  const supervisor = new Supervisor({ logDir: directory })
  onTestFinished(async () => {
    await supervisor.stopAll()
    await rm(directory, { recursive: true, force: true })
  })
  const [adminPort = 0, outboundPort = 0, inboundPort = 0] = await freePorts(3, {
    avoid: new Set(listeners),
  })
  const bootstrap = bootstrapOf(form, {
    service: 'form',
    instance: 'form-1',
    locality: { region: '', zone: '' },
    controlPlane: [{ host: '127.0.0.1', port: xds }],
    adminPort,
    outboundPort,
    inboundPort,
  })
  const file = join(directory, 'envoy.json')
  await writeFile(file, JSON.stringify(bootstrap))
  const envoy = supervisor.start({
    name: 'envoy',
    group: 'envoy',
    command: inject('envoy'),
    args: ['-c', file, '--concurrency', '2', '--disable-hot-restart', '--drain-time-s', '5'],
    env: process.env,
  })
  return { admin: new EnvoyAdmin(adminPort), failed: envoy.failed }
}
