import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ndjsonLines, NdjsonTooLongError, type NdjsonLine, type NdjsonLimits } from './ndjson-lines.ts'

const generous: NdjsonLimits = { lineBytes: 1_000, bytes: 1_000_000, lines: 1_000 }

async function* cut(text: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  await Promise.resolve()
  let from = 0
  for (let index = 0; from < text.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1
    yield text.subarray(from, from + size)
    from += size
  }
}

const linesOf = async (text: string, sizes: readonly number[], limits = generous): Promise<NdjsonLine[]> => {
  const lines: NdjsonLine[] = []
  for await (const some of ndjsonLines(cut(Buffer.from(text), sizes), limits)) lines.push(...some)
  return lines
}

describe('lines of a stream', () => {
  it('are the same however the stream is cut', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'ü', '"', ' ', '😀', '\r') })
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (lines, ended, sizes) => {
          const text = lines.join('\n') + (ended ? '\n' : '')
          const expected = lines
            .map((content, index) => ({ number: index + 1, text: content }))
            .filter(({ text: content }) => content.trim() !== '')
          expect(await linesOf(text, sizes)).toEqual(expected)
        },
      ),
    )
  })

  it('that are too long are told as such, whatever they hold, and the next ones are read', async () => {
    const text = `${'x'.repeat(50)}\nshort\n${'y'.repeat(51)}\nlast`
    for (const sizes of [[1], [7], [1_000]]) {
      const lines = await linesOf(text, sizes, { ...generous, lineBytes: 50 })
      expect(lines.map(({ number, text: content }) => [number, content?.length ?? null])).toEqual([
        [1, 50],
        [2, 5],
        [3, null],
        [4, 4],
      ])
    }
  })

  it('end with an error where there are too many, after all that fit', async () => {
    const read = async (text: string, limits: Partial<NdjsonLimits>, size = 4) => {
      const seen: number[] = []
      const reading = async () => {
        for await (const some of ndjsonLines(cut(Buffer.from(text), [size]), { ...generous, ...limits }))
          seen.push(...some.map(({ number }) => number))
      }
      await expect(reading()).rejects.toThrow(NdjsonTooLongError)
      return seen
    }
    expect(await read('a\nb\nc\nd\n', { lines: 3 })).toEqual([1, 2, 3])
    expect(await read('aaa\nbbb\nccc\n', { bytes: 8 })).toEqual([1, 2, 3])
    expect(await linesOf('a\nb\nc\n', [2], { ...generous, lines: 3 })).toHaveLength(3)
  })
})
