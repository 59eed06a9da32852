import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const git = ['ls-files', '-co', '--exclude-standard', '*.md']
const pages = execFileSync('git', git, { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(page => page !== '' && existsSync(join(root, page)))
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

/** Relative links and pictures of a page, as paths from the root; code blocks are left out. */
const links = (page: string): string[] =>
  [
    ...read(page)
      .replaceAll(/^```[\s\S]*?^```/gm, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, target = '']) => target.replace(/#.*$/, ''))
    .filter(target => target !== '' && !/^[a-z]+:/.test(target))
    .map(target => normalize(join(dirname(page), target)))

test.each(pages)('%s links only to what exists', page => {
  expect(links(page).filter(target => !existsSync(join(root, target)))).toEqual([])
})

test('every page of docs/ can be reached from its index', () => {
  const reached = new Set(['docs/README.md'])
  for (const page of reached) {
    for (const target of links(page)) if (pages.includes(target)) reached.add(target)
  }
  expect(pages.filter(page => page.startsWith('docs/') && !reached.has(page))).toEqual([])
})

test('the files that architecture.md names exist', () => {
  const named = [
    ...read('docs/architecture.md').matchAll(/`((?:control-plane|sidecar-config|deploy|e2e)\/[^`\s]*)`/g),
  ]
  expect(named.length).toBeGreaterThan(5)
  expect(named.map(([, path = '']) => path).filter(path => !existsSync(join(root, path)))).toEqual([])
})

test('configuration.md names exactly the variables that the control plane reads', () => {
  const page = read('docs/reference/configuration.md')
  const section = /^## The control plane$([\s\S]*?)^##+ /m.exec(page)?.[1] ?? ''
  const described = [...section.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name)
  const source = read('control-plane/src/config.ts')
  const used = new Set(
    [...source.matchAll(/'((?:WAYMARK|OTEL)_[A-Z_]+|DATABASE_URL)'/g)].map(([, name]) => name),
  )
  expect(described.toSorted()).toEqual([...used, 'WAYMARK_SINKS'].toSorted())
})
