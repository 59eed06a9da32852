/**
 * Load from a process of its own, so that it can run on another host or core. Its only argument is JSON
 * (`LoadOptions`); it prints its report as a line of JSON every 100 ms, and a last one after SIGTERM.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Load, type LoadOptions } from './load.ts'

const load = Load.start(JSON.parse(process.argv[2] ?? '') as LoadOptions)
const abort = new AbortController()
process.once('SIGTERM', () => {
  abort.abort()
})
while (!abort.signal.aborted) {
  console.log(JSON.stringify(load.report()))
  await delay(100, undefined, { signal: abort.signal }).catch(() => undefined)
}
console.log(JSON.stringify(await load.stop()))
