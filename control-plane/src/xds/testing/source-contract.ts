import { expect, test } from 'vitest'
import type { Revision } from '../../domain/revision.ts'
import { testPeer } from './test-node.ts'
import type { ResourceSet, ResourceSetChange, XdsNode, XdsSource } from '../port.ts'

/** An implementation of the port, with the means to change what it has. */
export interface SourceUnderTest {
  readonly source: XdsSource
  /** A node that the source serves. */
  readonly node: XdsNode
  /** A type of which `add` makes resources that the node sees. */
  readonly typeUrl: string
  /** Makes a resource appear, in one revision; resolves with its name when the revision has been applied. */
  add(): Promise<string>
  /** Changes what the resource says. */
  change(name: string): Promise<void>
  remove(name: string): Promise<void>
  close?(): Promise<void>
}

/**
 * The contract of the port of the xDS server, to be run on every implementation. `make` gives a fresh one for each
 * test. A watcher may also be told of names that did not change; it must be told of those that did.
 */
export function testXdsSource(label: string, make: () => Promise<SourceUnderTest>): void {
  const check = (title: string, body: (under: SourceUnderTest, set: ResourceSet) => Promise<void>): void => {
    test(`${label}: ${title}`, async () => {
      const under = await make()
      try {
        await under.source.ready()
        const view = under.source.open(under.node, testPeer)
        const set = view.set(under.typeUrl)
        if (set === undefined) throw new Error(`the source does not serve ${under.typeUrl}`)
        await body(under, set)
        view.close()
      } finally {
        await under.close?.()
      }
    })
  }
  const wildcard = (set: ResourceSet): string[] => [...set.names()]

  check('a resource has its own name, a version, and stays the same object', async (under, set) => {
    const name = await under.add()
    const resource = set.get(name)
    expect(resource?.name).toBe(name)
    expect(resource?.version).not.toBe('')
    await under.add()
    expect(set.get(name)).toBe(resource)
    expect(set.get('no such resource')).toBeUndefined()
  })

  check('names, get and covers agree, before and after a removal', async (under, set) => {
    const [kept, gone] = [await under.add(), await under.add()]
    expect(wildcard(set)).toEqual(expect.arrayContaining([kept, gone]))
    await under.remove(gone)
    expect(wildcard(set)).toContain(kept)
    expect(wildcard(set)).not.toContain(gone)
    expect(set.get(gone)).toBeUndefined()
    for (const name of wildcard(set))
      expect([set.get(name)?.name, set.covers?.(name) ?? true]).toEqual([name, true])
    if (set.covers !== undefined) expect(set.covers(gone)).toBe(false)
  })

  check('a changed resource is another object of another version at the new revision', async (under, set) => {
    const name = await under.add()
    const before = set.get(name)
    await under.change(name)
    const after = set.get(name)
    expect(after).not.toBe(before)
    expect(after?.version).not.toBe(before?.version)
    expect(after?.revision).toBe(under.source.revision())
    expect(before?.revision).toBeLessThan(under.source.revision())
  })

  check('watchers are told of what appeared, changed and went, after it has happened', async (under, set) => {
    const told: { change: ResourceSetChange; version: string | undefined; name: string }[] = []
    let watching = false
    set.watch(change => {
      expect(watching).toBe(true)
      for (const name of change.names) told.push({ change, name, version: set.get(name)?.version })
    })
    watching = true
    const name = await under.add()
    await under.change(name)
    const { version } = set.get(name) ?? {}
    await under.remove(name)
    const own = told.filter(each => each.name === name)
    expect(own.length).toBeGreaterThanOrEqual(3)
    expect(own.at(-2)?.version).toBe(version)
    expect(own.at(-1)?.version).toBeUndefined()
    const revisions = told.map(({ change }) => change.revision)
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
  })

  check('after a revision its listeners are told, when all watchers have been', async (under, set) => {
    const events: { kind: 'set' | 'revision'; revision: Revision }[] = []
    const unwatch = set.watch(({ revision }) => events.push({ kind: 'set', revision }))
    const unlisten = under.source.onRevision(revision => {
      expect(under.source.revision()).toBe(revision)
      events.push({ kind: 'revision', revision })
    })
    await under.add()
    await under.add()
    const sets = events.filter(({ kind }) => kind === 'set')
    expect(sets.length).toBeGreaterThanOrEqual(2)
    for (const { revision } of sets) {
      const released = events.findIndex(each => each.kind === 'revision' && each.revision >= revision)
      const last = events.findLastIndex(each => each.kind === 'set' && each.revision === revision)
      expect(released).toBeGreaterThan(last)
    }
    unwatch()
    unlisten()
    const before = events.length
    await under.add()
    expect(events.length).toBe(before)
  })

  check('two views of the same node share the set, and closing one leaves the other', async (under, set) => {
    const other = under.source.open(under.node, testPeer)
    expect(other.set(under.typeUrl)).toBe(set)
    other.close()
    const name = await under.add()
    expect(set.get(name)?.name).toBe(name)
  })
}
