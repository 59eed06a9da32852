import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { defaultTrafficSettings } from './defaults.ts'
import { documentSchemas, parseDocument } from './document.ts'
import { retryConditions } from './traffic-policy.ts'

const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/documents.md'), 'utf8')

interface Node {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Node>>
  readonly minimum?: number
  readonly maximum?: number
  readonly enum?: readonly string[]
  readonly 'x-accepted'?: string
}

/** Every leaf of a schema by its path. */
const leaves = (node: Node, path: readonly string[] = []): [string, Node][] =>
  node.properties === undefined
    ? [[path.join('.'), node]]
    : Object.entries(node.properties).flatMap(([name, child]) => leaves(child, [...path, name]))

const rows = (kind: string) => {
  const section = page.split(`\n## ${kind}\n`)[1]?.split('\n## ')[0] ?? ''
  return new Map(
    [...section.matchAll(/^\| `([^`]+)` +\| (.+?) +\| (.+?) +\| (.+) \|$/gm)].map(
      ([, field = '', accepted = '', fallback = '']) => [field, { accepted, fallback }],
    ),
  )
}

/** How the page has to put what a leaf accepts; undefined where words do it. */
const acceptedText = (leaf: Node): string | undefined => {
  if (leaf.minimum !== undefined && leaf.maximum !== undefined) return `${leaf.minimum} to ${leaf.maximum}`
  if (leaf.enum !== undefined) return leaf.enum.join(', ')
  if (leaf.type === 'boolean') return 'true, false'
  return /from (\S+ to \S+)$/.exec(leaf['x-accepted'] ?? '')?.[1]
}

const defaultText = (path: string): string | undefined => {
  const value = path
    .split('.')
    .reduce<unknown>(
      (node, key) =>
        typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined,
      defaultTrafficSettings,
    )
  if (value === undefined || value === null) return undefined
  return Array.isArray(value) ? value.join(', ') : JSON.stringify(value).replaceAll('"', '')
}

const fields = Object.entries(documentSchemas).flatMap(([kind, schema]) =>
  leaves(schema as Node).map(([path, leaf]) => ({ kind, path, leaf })),
)

describe('docs/reference/documents.md', () => {
  it.each(fields)('tells what $kind $path accepts and what it is by default', ({ kind, path, leaf }) => {
    const row = rows(kind).get(path)
    expect(row).toBeDefined()
    const accepted = acceptedText(leaf)
    if (accepted !== undefined) expect(row?.accepted).toBe(accepted)
    const fallback = kind === 'TrafficPolicy' ? defaultText(path) : undefined
    if (fallback !== undefined) expect(row?.fallback).toBe(`\`${fallback}\``)
  })

  it.each(Object.entries(documentSchemas))('has no field that %s does not have', (kind, schema) => {
    expect([...rows(kind).keys()].sort()).toEqual(
      leaves(schema as Node)
        .map(([path]) => path)
        .sort(),
    )
  })

  it('names every condition of a retry', () => {
    for (const condition of retryConditions) expect(page).toContain(`\`${condition}\``)
  })

  it('has examples that are accepted', () => {
    const examples = [...page.matchAll(/^## (\w+)|^```yaml\n([\s\S]+?)```/gm)]
    let kind = ''
    let count = 0
    for (const [, heading, yaml] of examples) {
      if (heading !== undefined) kind = heading
      if (yaml === undefined) continue
      for (const document of parseAllDocuments(yaml)) {
        count++
        expect(parseDocument(kind, 'payments', document.toJS())).toMatchObject({ ok: true })
      }
    }
    expect(count).toBe(4)
  })
})
