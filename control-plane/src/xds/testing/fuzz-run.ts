/** Fuzzes the xDS server by hand: `npm run fuzz -- --minutes N --seed S`. */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import type * as fc from 'fast-check'
import { fuzz } from './fuzz-check.ts'
import { FuzzedServer } from './fuzz-server.ts'
import { fuzzSession } from './fuzz-session.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '3' }, seed: { type: 'string' } },
})
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('usage: fuzz --minutes N [--seed INTEGER]')
process.stdout.write(`seed ${seed}\n`)

const onServer = async <Case>(property: (server: FuzzedServer) => fc.IRawProperty<Case>, ms: number) => {
  await using server = await FuzzedServer.start()
  await fuzz(property(server), { ms, seed })
  await server.cleared()
}

const targets: Readonly<Record<string, (ms: number) => Promise<void>>> = {
  sessions: ms => fuzz(fuzzSession(), { ms, seed }),
  streams: ms => onServer(server => server.streams(), ms),
  connections: ms => onServer(server => server.connections(), ms),
}

for (const [name, run] of Object.entries(targets)) {
  const ms = (minutes * 60_000) / Object.keys(targets).length
  process.stdout.write(`${name}: ${Math.round(ms / 1_000)} s\n`)
  await run(ms)
}
process.stdout.write('nothing found\n')
