import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BatchResultView } from '../rest/schemas/batch.ts'
import { importLines } from './import-lines.ts'

const clock = { sleep: () => Promise.resolve() }

async function* pieces(text: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text)
  await Promise.resolve()
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
}

describe('importing', () => {
  it('sends every line until it is done, however often the control plane cannot take it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('', 'ä', 'bad', 'x'), { maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.constantFrom('ok', 'busy', 'cut', 'lost'), { maxLength: 40 }),
        async (contents, size, fates) => {
          const done: string[] = []
          const refused: number[] = []
          const lines = contents.map((content, index) => (content === '' ? '' : `${content}-${index}`))
          let requests = 0
          let next = 0
          const summary = await importLines(pieces(lines.join('\n'), size), {
            clock,
            onRefused: ({ line }) => void refused.push(line),
            onProgress: () => undefined,
            isPassing: () => true,
            send: sent => {
              const results: BatchResultView[] = []
              for (const [index, line] of sent.entries()) {
                // Before the last attempt of any line all is well again.
                const fate = requests > 8 ? 'ok' : (fates[next++] ?? 'ok')
                if (fate === 'cut') break
                if (fate === 'lost' && index === 0) {
                  requests += 1
                  return Promise.reject(new Error('the connection was lost'))
                }
                if (fate === 'busy') results.push({ line: index + 1, status: 503 })
                else if (line.startsWith('bad')) results.push(bad(index + 1))
                else {
                  done.push(line)
                  results.push({ line: index + 1, status: 201, changed: true, revision: done.length })
                }
              }
              requests += 1
              return Promise.resolve(results)
            },
          })
          const wanted = lines.flatMap((line, index) => (line === '' ? [] : [{ line, number: index + 1 }]))
          const wrong = wanted.filter(({ line }) => line.startsWith('bad'))
          expect(refused.toSorted((a, b) => a - b)).toEqual(wrong.map(({ number }) => number))
          expect(done.toSorted()).toEqual(
            wanted
              .filter(({ line }) => !line.startsWith('bad'))
              .map(({ line }) => line)
              .toSorted(),
          )
          expect(summary).toMatchObject({ lines: wanted.length, registered: done.length, unavailable: 0 })
        },
      ),
    )
  })

  it('ends with what does not pass, and with what has not passed after ten attempts', async () => {
    const attempt = async (isPassing: (error: unknown, answered: boolean) => boolean): Promise<number> => {
      let requests = 0
      const importing = importLines(pieces('a\nb\n', 10), {
        clock,
        isPassing,
        onRefused: () => undefined,
        onProgress: () => undefined,
        send: () => {
          requests += 1
          return requests === 1
            ? Promise.resolve([{ line: 1, status: 201, changed: true, revision: 1 }])
            : Promise.reject(new Error('away'))
        },
      })
      await expect(importing).rejects.toThrow('away')
      return requests
    }
    expect(await attempt(() => false)).toBe(2)
    expect(await attempt((_, answered) => !answered)).toBe(2)
    expect(await attempt((_, answered) => answered)).toBe(10)
  })

  it('gives up on a line after ten attempts and says so', async () => {
    let requests = 0
    const summary = await importLines(pieces('a\n', 10), {
      clock,
      onRefused: () => undefined,
      onProgress: () => undefined,
      isPassing: () => false,
      send: () => {
        requests += 1
        return Promise.resolve([{ ...bad(1), status: 503 }])
      },
    })
    expect(requests).toBe(10)
    expect(summary).toMatchObject({ lines: 1, refused: 1, unavailable: 1 })
  })
})

const bad = (line: number): BatchResultView => ({
  line,
  status: 400,
  problem: {
    type: 'urn:waymark:error:invalid_request',
    title: 'wrong',
    status: 400,
    detail: 'wrong',
    code: 'invalid_request',
    instance: 'urn:waymark:request:1',
  },
})
