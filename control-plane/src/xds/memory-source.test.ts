import { expect, test } from 'vitest'
import { MemorySource } from './memory-source.ts'
import { testXdsSource } from './testing/source-contract.ts'
import { testNode } from './testing/test-node.ts'
import { resource } from './testing/server-fixture.ts'

const node = testNode()

testXdsSource('memory source', () => {
  const source = new MemorySource()
  let made = 0
  return Promise.resolve({
    source,
    node,
    typeUrl: 't',
    add: () => {
      made += 1
      source.apply({ put: [resource('t', `r${made}`)] })
      return Promise.resolve(`r${made}`)
    },
    change: name => {
      made += 1
      source.apply({ put: [resource('t', name, `changed ${made}`)] })
      return Promise.resolve()
    },
    remove: name => {
      source.apply({ remove: [{ typeUrl: 't', name }] })
      return Promise.resolve()
    },
  })
})

test('X11 equal bytes have the same version in every source, and putting them again changes nothing', () => {
  const [one, other] = [new MemorySource(), new MemorySource()]
  for (const source of [one, other]) source.apply({ put: [resource('t', 'a', 'same')] })
  const [first, second] = [one, other].map(source => source.open(node).set('t')?.get('a'))
  expect(first?.version).toBe(second?.version)
  one.apply({ put: [resource('t', 'a', 'same')] })
  expect(one.open(node).set('t')?.get('a')).toBe(first)
})

test('a resource on demand is there by name, and not under the wildcard', () => {
  const source = new MemorySource()
  source.apply({ put: [{ ...resource('t', 'a'), onDemand: true }, resource('t', 'b')] })
  const set = source.open(node).set('t')
  expect([[...(set?.names() ?? [])], set?.get('a')?.name, set?.covers?.('a')]).toEqual([['b'], 'a', false])
})
