import { postLines } from './post-lines.ts'

const linesEach = 2_000
/** After so many the import begins again and changes each: memory stays bounded. */
const instances = 20_000

/**
 * Imports instances of a service that no sidecar calls, in requests of 2,000 lines one after the other, while `work` goes
 * on. Resolves with the result of it and the lines that were written each second.
 */
export const withImport = async <T>(
  restUrl: string,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly perSecond: number }> => {
  let going = true
  let written = 0
  const started = performance.now()
  const importing = async (): Promise<number> => {
    for (let from = 0; going; from += linesEach) {
      const lines = Array.from({ length: linesEach }, (_, line) => {
        const index = from + line
        return JSON.stringify({
          service: 'imported',
          id: `i-${index % instances}`,
          address: '10.0.0.2',
          port: 1 + (Math.floor(index / instances) % 60_000),
          lease: { ttl: '1h' },
        })
      })
      await postLines(`${restUrl}/api/v1/instances:batch`, lines)
      written += linesEach
    }
    return (written * 1_000) / (performance.now() - started)
  }
  const imported = importing()
  const result = await work().finally(async () => {
    going = false
    await Promise.allSettled([imported])
  })
  return { result, perSecond: await imported }
}
