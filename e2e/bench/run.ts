// npm run bench [-- name ...]: the figures of docs/performance.md.
import { availableParallelism, cpus, totalmem } from 'node:os'
import { envoyHasIt } from './envoy.ts'
import { memory } from './memory.ts'
import { propagate } from './propagate.ts'
import { registrations } from './register.ts'
import { up } from './up.ts'

const benches: Readonly<Record<string, () => Promise<string>>> = {
  propagate,
  envoy: envoyHasIt,
  register: registrations,
  memory,
  up,
}

const names = process.argv.slice(2)
const unknown = names.filter(name => !(name in benches))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}.`)
  process.exit(2)
}
console.log(
  `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ` +
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${process.platform} ${process.arch}, Node ${process.version}\n`,
)
for (const [name, bench] of Object.entries(benches)) {
  if (names.length > 0 && !names.includes(name)) continue
  console.log(`## ${name}\n`)
  console.log(`${await bench()}\n`)
}
