import { describe, expect, it } from 'vitest'
import { WaymarkError } from '../domain/errors.ts'
import { RegistrationBody } from './schemas/registration.ts'
import { InstanceFilters } from './schemas/instance.ts'
import { createValidatorCompiler, findUnstorable } from './validation.ts'

const compile = createValidatorCompiler()
const check = (schema: object, httpPart: string, value: unknown) => {
  const validate = compile({ schema, httpPart, method: 'PUT', url: '/' })
  const result: unknown = validate(value)
  return result as { readonly value?: unknown; readonly error?: unknown }
}
const fieldsOf = (value: unknown) => {
  const { error } = check(RegistrationBody, 'body', value)
  return error instanceof WaymarkError ? error.fields : []
}
const pointersOf = (value: unknown) =>
  fieldsOf(value)
    .map(({ pointer }) => pointer)
    .sort()

const valid = { address: '10.0.0.1', port: 80 }

describe('the schema of a registration', () => {
  it('accepts the example of the reference and leaves it as it is', () => {
    const body = {
      address: '10.0.3.7',
      port: 8080,
      version: 'v2',
      weight: 100,
      metadata: { team: 'core' },
      locality: { region: 'eu-1', zone: 'eu-1a' },
      lease: { ttl: '15s', deregisterAfter: '10m' },
      checks: [
        {
          kind: 'http',
          path: '/healthz',
          interval: '5s',
          timeout: '1s',
          healthyThreshold: 2,
          unhealthyThreshold: 3,
        },
      ],
      sidecar: { port: 15006 },
    }
    const before = structuredClone(body)
    expect(check(RegistrationBody, 'body', body)).toEqual({ value: before })
  })

  it.each<[unknown, string[]]>([
    [{}, ['/address', '/port']],
    [null, ['']],
    [[], ['']],
    ['text', ['']],
    [{ ...valid, port: '80' }, ['/port']],
    [{ ...valid, port: 0 }, ['/port']],
    [{ ...valid, port: 65_536 }, ['/port']],
    [{ ...valid, port: 80.5 }, ['/port']],
    [{ ...valid, adress: 'x', 'a/b~c': 1 }, ['/adress', '/a~1b~0c']],
    [{ ...valid, weight: 0 }, ['/weight']],
    [{ ...valid, version: '' }, ['/version']],
    [{ ...valid, version: 'v 2' }, ['/version']],
    [{ ...valid, metadata: { ok: 'x', '-': 'x', number: 5 } }, ['/metadata/-', '/metadata/number']],
    [{ ...valid, metadata: { a: 'x\u0000' } }, ['/metadata/a']],
    [{ ...valid, metadata: { a: '\ud800' } }, ['/metadata/a']],
    [{ ...valid, metadata: { a: 'x'.repeat(513) } }, ['/metadata/a']],
    [
      { ...valid, metadata: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`k${n}`, ''])) },
      ['/metadata'],
    ],
    [{ ...valid, lease: { ttl: '15', more: 1 } }, ['/lease/more', '/lease/ttl']],
    [{ ...valid, lease: 15 }, ['/lease']],
    [{ ...valid, checks: {} }, ['/checks']],
    [
      { ...valid, checks: [{}, { kind: 'udp' }, { kind: 'tcp', path: '/' }] },
      ['/checks/0/kind', '/checks/1/kind', '/checks/2/path'],
    ],
    [{ ...valid, checks: Array.from({ length: 9 }, () => ({ kind: 'tcp' })) }, ['/checks']],
    [{ ...valid, checks: [{ kind: 'http', path: 'healthz' }] }, ['/checks/0/path']],
    [{ ...valid, checks: [{ kind: 'http', path: '/a b' }] }, ['/checks/0/path']],
    [
      { ...valid, checks: [{ kind: 'http', headers: { 'x y': '1', a: 'x\r\ny' } }] },
      ['/checks/0/headers/a', '/checks/0/headers/x y'],
    ],
    [{ ...valid, checks: [{ kind: 'http', host: 'a\r\nb' }] }, ['/checks/0/host']],
    [
      { ...valid, checks: [{ kind: 'grpc', path: '/', tls: { sni: 'a' } }] },
      ['/checks/0/path', '/checks/0/tls/sni'],
    ],
    [{ ...valid, sidecar: true }, ['/sidecar']],
  ])('refuses wrong body %#, naming its fields', (body, pointers) => {
    expect(pointersOf(body)).toEqual(pointers)
  })

  it('says for each wrong field what would be accepted, and not more than 20 of them', () => {
    const metadata = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`k${n}`, n]))
    const fields = fieldsOf({ ...valid, metadata, weight: 'much' })
    expect(fields).toHaveLength(20)
    expect(fieldsOf({ ...valid, weight: 'much' })).toEqual([
      { pointer: '/weight', detail: '"much" is not accepted', accepted: 'an integer from 1 to 1000' },
    ])
    for (const { accepted } of fields) expect(accepted).not.toBe('')
  })
})

describe('the schema of a query', () => {
  it('takes numbers from text and metadata filters by their prefix', () => {
    expect(check(InstanceFilters, 'querystring', { index: '5', 'metadata.team': 'core' })).toEqual({
      value: { index: 5, 'metadata.team': 'core' },
    })
  })

  it('points at parameters', () => {
    const { error } = check(InstanceFilters, 'querystring', { index: '-1', team: 'core', health: 'well' })
    const pointers = error instanceof WaymarkError ? error.fields.map(({ pointer }) => pointer) : []
    expect(pointers.sort()).toEqual(['?health', '?index', '?team'])
  })
})

describe('findUnstorable', () => {
  it('finds what jsonb cannot hold, in values and in keys', () => {
    expect(findUnstorable({ a: ['x', { b: 'y\u{1f600}' }], c: null, d: 1 })).toBeUndefined()
    expect(findUnstorable({ a: ['x', { b: 'y\u0000' }] })).toBe('/a/1/b')
    expect(findUnstorable({ a: { 'b/\u0000': 1 } })).toBe('/a/b~1\u0000')
    expect(findUnstorable('\udc00')).toBe('')
  })

  it('does not follow what is nested without end', () => {
    let value: unknown = 'deep'
    for (let depth = 0; depth < 100_000; depth += 1) value = [value]
    expect(findUnstorable(value)).toMatch(/^(\/0){32}$/)
  })
})
