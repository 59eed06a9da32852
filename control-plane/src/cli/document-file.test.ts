import { describe, expect, it } from 'vitest'
import { parseDocumentFile } from './document-file.ts'

const yaml = `# how payments is called
kind: TrafficPolicy
name: payments
spec:
  timeouts:
    request: soon
---
{"kind": "Service", "name": "payments",
 "spec": {"protocol": "smtp"}}
---
`

describe('parseDocumentFile', () => {
  it('reads several documents, and knows where each field stands', () => {
    const [policy, service, ...others] = parseDocumentFile('mesh.yaml', yaml)
    expect(others).toEqual([])
    expect([policy?.kind, policy?.name, policy?.spec]).toEqual([
      'TrafficPolicy',
      'payments',
      { timeouts: { request: 'soon' } },
    ])
    expect(policy?.locate('/spec/timeouts/request')).toBe('mesh.yaml:6')
    expect(policy?.locate('/spec/timeouts/connect')).toBe('mesh.yaml:6')
    expect(policy?.locate('/name')).toBe('mesh.yaml:3')
    expect(service?.spec).toEqual({ protocol: 'smtp' })
    expect(service?.locate('/spec/protocol')).toBe('mesh.yaml:9')
  })

  it.each([
    ['kind: Service\nname: a\nspec: {]', 'f:3'],
    ['kind: Service\nname: a\n', 'f:1: Service a has no spec'],
    ['name: a\nspec: {}', 'f:1: a document needs a kind and a name'],
    ['- a\n- b', 'f:1: is no document'],
    ['kind: Service\nname: a\nspec: {}\nversion: 2', 'f:4: there is no field version'],
    ['kind: Service\nname: a\nname: b\nspec: {}', 'f:3'],
    ['kind: Service\nname: a\nspec: *nobody', 'f:1: Unresolved alias'],
  ])('names the line of what is wrong with %j', (text, message) => {
    expect(() => parseDocumentFile('f', text)).toThrow(message)
  })

  it('does not unfold a file into more than it is', () => {
    const levels = Array.from(
      { length: 12 },
      (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(9)}*l${n}]`,
    )
    const bomb = `kind: Service\nname: a\nspec:\n  l0: &l0 x\n  ${levels.join('\n  ')}\n`
    expect(() => parseDocumentFile('f', bomb)).toThrow()
  })

  it('finds nothing in an empty file', () => {
    expect(parseDocumentFile('f', '')).toEqual([])
    expect(parseDocumentFile('f', '# only words\n---\n')).toEqual([])
  })
})
