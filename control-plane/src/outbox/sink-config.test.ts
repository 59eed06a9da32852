import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSinks, secretVariable } from './sink-config.ts'

const secret = `whsec_${randomBytes(32).toString('base64')}`
const url = 'https://hooks.example.com/waymark?token=t0ken'

const problemsOf = (sinks: string, environment: Record<string, string> = {}): string[] =>
  parseSinks({ WAYMARK_SINKS: sinks, ...environment }).problems.map(
    ({ variable, problem, accepted }) => `${variable} ${problem} (${accepted})`,
  )

describe('WAYMARK_SINKS', () => {
  it('may be missing or empty', () => {
    expect(parseSinks({})).toEqual({ sinks: [], problems: [] })
    expect(parseSinks({ WAYMARK_SINKS: ' ' })).toEqual({ sinks: [], problems: [] })
  })

  it('is a list, separated by spaces or commas', () => {
    const { sinks, problems } = parseSinks({
      WAYMARK_SINKS: `stdout, audit=file:/var/log/waymark.ndjson  team-hook=${url} other=file:///tmp/x out=stdout`,
      WAYMARK_SINK_TEAM_HOOK_SECRET: secret,
    })
    expect(problems).toEqual([])
    expect(sinks).toMatchObject([
      { kind: 'stdout', name: 'stdout', start: 'oldest' },
      { kind: 'file', name: 'audit', path: '/var/log/waymark.ndjson' },
      { kind: 'webhook', name: 'team-hook', batch: false, timeoutMs: 15_000 },
      { kind: 'file', name: 'other', path: '/tmp/x' },
      { kind: 'stdout', name: 'out' },
    ])
    expect(sinks[2]).toHaveProperty('url.href', url)
  })

  it('is a JSON array where a sink needs more', () => {
    const { sinks, problems } = parseSinks({
      WAYMARK_SINKS: JSON.stringify([
        { name: 'hook', target: url, start: 'now', batch: true, timeoutMs: 500 },
      ]),
      WAYMARK_SINK_HOOK_SECRET: `${secret} ${secret}`,
    })
    expect(problems).toEqual([])
    expect(sinks).toMatchObject([{ kind: 'webhook', start: 'now', batch: true, timeoutMs: 500 }])
    expect(sinks[0]).toHaveProperty('keys.length', 2)
  })

  it.each([
    ['file:/var/log/x', /without a name/],
    ['A=stdout', /"A" cannot name a sink/],
    ['x=stdout x=stdout', /"x" twice/],
    ['x=file:relative/path', /absolute/],
    ['x=file:/folder/', /absolute/],
    ['x=kafka:9092', /no known kind/],
    ['x=ftp://host/', /no known kind/],
    ['x=https://user:pw@host/', /user or a password/],
    ['x=https://host/', /WAYMARK_SINK_X_SECRET is not set/],
    ['[{"name":', /none/],
    ['[{"name":"x"}]', /"target" is not a string/],
    ['[{"name":"x","target":"stdout","colour":1}]', /unknown field "colour"/],
    ['[{"name":"x","target":"stdout","start":"later"}]', /"start"/],
    ['[{"name":"x","target":"stdout","timeoutMs":5}]', /"timeoutMs"/],
    ['[7]', /\[0\]: is not an object/],
    [Array.from({ length: 17 }, (_, index) => `s${index}=stdout`).join(' '), /17 sinks/],
  ])('refuses %s', (text, expected) => {
    expect(problemsOf(text)).toEqual([expect.stringMatching(expected)])
  })

  it('says everything that is wrong at once, and shows no secret and no URL', () => {
    const problems = problemsOf(`a=https://me:pw@host/t0ken b=${url} c=gopher://t0ken d=file:x`, {
      WAYMARK_SINK_B_SECRET: 'hunter2',
    })
    expect(problems).toHaveLength(4)
    expect(problems.join()).not.toMatch(/hunter2|t0ken|pw@/)
  })

  it('gives back each sink of a right list, in order', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/)
    const target = fc.constantFrom('stdout', 'file:/tmp/x')
    const separator = fc.constantFrom(' ', ',', ', ', '\n')
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, target), { selector: ([each]) => each, maxLength: 16 }),
        separator,
        (pairs, between) => {
          const { sinks, problems } = parseSinks({
            WAYMARK_SINKS: pairs.map(pair => pair.join('=')).join(between),
          })
          expect(problems).toEqual([])
          expect(sinks.map(sink => sink.name)).toEqual(pairs.map(([each]) => each))
        },
      ),
    )
  })

  it('answers anything else with problems, never with an exception', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), text => {
        expect(problemsOf(`!${text}`)).not.toEqual([])
        expect(() => parseSinks({ WAYMARK_SINKS: text })).not.toThrow()
      }),
    )
  })
})

it('names the variable of a secret', () => {
  expect(secretVariable('team-hook')).toBe('WAYMARK_SINK_TEAM_HOOK_SECRET')
})
