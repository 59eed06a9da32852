import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { buildBootstrap } from '@waymark/sidecar-config/bootstrap/bootstrap.ts'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'

interface Service {
  readonly image: string
  readonly environment?: Readonly<Record<string, string>>
  readonly network_mode?: string
  readonly networks?: { readonly mesh: { readonly ipv4_address: string } }
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly read_only?: boolean
}

const read = (path: string): Promise<string> =>
  readFile(fileURLToPath(new URL(path, import.meta.url)), 'utf8')

let services: Readonly<Record<string, Service>>
beforeAll(async () => {
  const compose = parse(await read('compose.yaml'), { merge: true }) as { services: typeof services }
  services = compose.services
})

const service = (name: string): Service => {
  const found = services[name]
  if (found === undefined) throw new Error(`there is no service ${name}`)
  return found
}
const addressOf = (name: string): string => service(name).networks?.mesh.ipv4_address ?? ''

describe('compose.yaml', () => {
  it('runs the images that deploy/images builds, each at one version', () => {
    for (const { image } of Object.values(services)) {
      expect(image).toMatch(
        /^\$\{WAYMARK_IMAGES:-localhost\/waymark\}-(control-plane|sidecar|sample|postgres):\$\{WAYMARK_TAG:-0\.1\.0\}$/,
      )
    }
  })

  it('runs two replicas on the same database', () => {
    const urls = ['waymark-1', 'waymark-2'].map(name => service(name).environment?.['DATABASE_URL'])
    expect(new Set(urls).size).toBe(1)
    expect(urls[0]).toContain(`@${addressOf('postgres')}:5432`)
  })

  it('opens ports to this machine only', () => {
    const ports = Object.values(services).flatMap(one => one.ports ?? [])
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  describe.each(['orders-1', 'payments-1', 'payments-2'])('the instance %s', instance => {
    it('registers the address that it has', () => {
      const environment = service(instance).environment
      expect(environment).toMatchObject({
        SAMPLE_INSTANCE: instance,
        SAMPLE_SERVICE: instance.split('-')[0],
        SAMPLE_ADDRESS: addressOf(instance),
      })
      const replicas = environment?.['WAYMARK_API']?.split(',').sort()
      expect(replicas).toEqual(['waymark-1', 'waymark-2'].map(name => `http://${addressOf(name)}:7400`))
    })

    it('has a sidecar in its network namespace, with the bootstrap that waymark makes', async () => {
      const sidecar = service(`${instance}-sidecar`)
      expect(sidecar.network_mode).toBe(`service:${instance}`)
      expect(sidecar.volumes).toEqual([`./sidecars/${instance}.json:/etc/envoy/bootstrap.json:ro`])
      const written: unknown = JSON.parse(await read(`sidecars/${instance}.json`))
      const made = buildBootstrap({
        service: instance.split('-')[0] ?? '',
        instance,
        locality: { region: 'local', zone: 'local' },
        controlPlane: ['waymark-1', 'waymark-2'].map(name => ({ host: addressOf(name), port: 7_401 })),
      })
      expect(written).toEqual(JSON.parse(JSON.stringify(made)))
    })
  })
})
