import { findEnvoy } from '@waymark/deploy/local/envoy.ts'
import { machineTime } from '../harness/machine-time.ts'
import type { BenchOptions } from './bench-options.ts'
import { Generator } from './generator/generator.ts'
import { HttpClient } from './http-client.ts'
import { withRig } from './rig.ts'
import { median, milliseconds, percentile } from './statistics.ts'
import { renderRows } from './table.ts'

const warmUp = 20

/**
 * A service's only instance moves to and fro between two addresses. One client asks through a real Envoy without a
 * pause: the first answer from the new address shows that Envoy has it. `others`: simulated sidecars beside it.
 */
const measure = async (
  others: number,
  envoy: string,
  rounds: number,
): Promise<{ moved: number[]; request: number[] }> =>
  withRig({ envoy }, async ({ mesh, addresses }) => {
    const caller = await mesh.instance({ service: 'orders', id: 'orders-1' })
    const places = [
      await mesh.instance({ service: 'payments', id: 'payments-1', sidecar: false, register: false }),
      await mesh.instance({ service: 'payments', id: 'payments-2', sidecar: false, register: false }),
    ]
    const rest = await HttpClient.open(mesh.api.url)
    const traffic = await HttpClient.open(`http://127.0.0.1:${caller.ports.outbound}`)
    const register = (turn: number): Promise<number> =>
      rest.send(
        'PUT',
        '/api/v1/services/payments/instances/payments',
        JSON.stringify({ address: '127.0.0.1', port: places[turn % 2]?.ports.app, lease: null }),
      )
    await register(0)
    await mesh.reaches(caller, 'payments', ['payments-1'])

    const measured = { moved: [] as number[], request: [] as number[] }
    const move = async (turn: number): Promise<void> => {
      const wanted = `x-instance: payments-${1 + (turn % 2)}`
      await register(turn)
      const answered = machineTime()
      for (;;) {
        const sent = machineTime()
        const status = await traffic.send('GET', '/', '', 'payments')
        const now = machineTime()
        if (status !== 200) throw new Error(`a request through Envoy was answered with ${status}`)
        if (turn > warmUp) measured.request.push(now - sent)
        if (!traffic.lastHead.includes(wanted)) continue
        if (turn > warmUp) measured.moved.push(now - answered)
        return
      }
    }
    const all = async (): Promise<void> => {
      for (let turn = 1; turn <= warmUp + rounds; turn += 1) await move(turn)
    }
    const plan = { count: others, upstreams: ['payments'] }
    if (others === 0) await all()
    else
      await Generator.with({ plan, order: 'envoy' }, async generator => {
        await generator.connect({ addresses })
        await all()
      })
    rest.close()
    traffic.close()
    return measured
  })

/** REST answer to a real Envoy that uses the endpoint, alone and beside 99 simulated sidecars. */
export const envoyHasIt = async ({ small }: BenchOptions): Promise<string> => {
  const rounds = small ? 20 : 200
  const { path } = await findEnvoy()
  const rows: string[][] = []
  for (const others of [0, 99]) {
    const { moved, request } = await measure(others, path, rounds)
    const base = median(request)
    for (const [what, values] of [
      ['a request through Envoy', request],
      ['REST answer to first answer from the new address', moved],
    ] as const)
      rows.push([
        String(others + 1),
        what,
        milliseconds(median(values)),
        milliseconds(percentile(values, 0.99)),
        `${(median(values) / base).toFixed(2)}x`,
      ])
  }
  return renderRows(['streams', `what (${rounds} moves)`, 'p50', 'p99', 'p50 to a request'], rows)
}
