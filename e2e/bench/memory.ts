import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { withRig, type Rig } from './rig.ts'
import { figure, median } from './statistics.ts'
import { withStreams } from './streams.ts'
import { renderRows } from './table.ts'

const rounds = 3
const services = 20
const settleMs = 5_000

/** Resident memory in MB (10^6 bytes); Linux only. */
const residentMemory = ({ mesh }: Rig): number => {
  const pid = mesh.replica(0).process.pid
  if (pid === null) throw new Error('the replica does not run')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return (Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024) / 1e6
}

/** Of a replica at rest, and with 100 sidecars that see 20 services of 3 instances. */
export const memory = async (): Promise<string> => {
  const results: { rest: number; filled: number; streams: number }[] = []
  for (let round = 0; round < rounds; round += 1) {
    results.push(
      await withRig({}, async rig => {
        const { api } = rig.mesh
        await delay(settleMs)
        const rest = residentMemory(rig)
        for (let index = 0; index < services * 3; index += 1)
          await api.register(`svc-${index % services}`, `i-${index}`, {
            address: `10.0.0.${1 + index}`,
            port: 8080,
            lease: null,
          })
        await delay(settleMs)
        const filled = residentMemory(rig)
        const { host, port } = rig.mesh.replica(0).process.xds
        const upstreams = Array.from({ length: services }, (_, index) => `svc-${index}`)
        const config = { address: `${host}:${port}`, streams: 100, upstreams, watch: '-' }
        const streams = await withStreams(config, async () => {
          await delay(settleMs)
          return residentMemory(rig)
        })
        return { rest, filled, streams }
      }),
    )
  }
  const rest = median(results.map(one => one.rest))
  const row = (what: string, values: readonly number[]): string[] => [
    what,
    `${figure(median(values))} MB`,
    `${(median(values) / rest).toFixed(2)}x`,
  ]
  return renderRows(
    ['resident memory of one replica', `median of ${rounds}`, 'to rest'],
    [
      row(
        'at rest',
        results.map(one => one.rest),
      ),
      row(
        `${services} services of 3 instances, no stream`,
        results.map(one => one.filled),
      ),
      row(
        'the same with 100 streams',
        results.map(one => one.streams),
      ),
    ],
  )
}
