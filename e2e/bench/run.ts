// npm run bench [-- name ... --small --profile]: the figures of docs/performance.md.
import { availableParallelism, cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import type { BenchOptions } from './bench-options.ts'
import { checks } from './checks.ts'
import { coldstart } from './coldstart.ts'
import { discover } from './discover.ts'
import { encode } from './encode.ts'
import { envoyHasIt } from './envoy.ts'
import { fanout } from './fanout.ts'
import { growth } from './growth.ts'
import { scale } from './scale.ts'
import { heartbeats } from './heartbeat.ts'
import { hostile } from './hostile.ts'
import { memory } from './memory.ts'
import { newcomers } from './newcomers.ts'
import { outbox } from './outbox.ts'
import { propagate } from './propagate.ts'
import { reconnect } from './reconnect.ts'
import { registrations } from './register.ts'
import { streams } from './streams.ts'
import { up } from './up.ts'
import { watch } from './watch.ts'

const benches: Readonly<Record<string, (options: BenchOptions) => Promise<string>>> = {
  propagate,
  envoy: envoyHasIt,
  fanout,
  growth,
  encode,
  newcomers,
  reconnect,
  coldstart,
  scale,
  streams,
  memory,
  hostile,
  register: registrations,
  heartbeat: heartbeats,
  discover,
  watch,
  checks,
  outbox,
  up,
}

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    small: { type: 'boolean', default: process.env['WAYMARK_BENCH_SMALL'] === '1' },
    profile: { type: 'boolean', default: false },
  },
})
const unknown = names.filter(name => !(name in benches))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}.`)
  process.exit(2)
}
console.log(
  `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ` +
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${process.platform} ${process.arch}, Node ${process.version}` +
    `${values.small ? '; small: the figures mean little' : ''}\n`,
)
for (const [name, bench] of Object.entries(benches)) {
  if (names.length > 0 && !names.includes(name)) continue
  console.log(`## ${name}\n`)
  console.log(`${await bench(values)}\n`)
}
