#!/usr/bin/env node
// The waymark command, whatever Node the system has: Node 24, which the repository brings along, runs it.
// Plain JavaScript, because an older Node reads it first.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const entry = new URL('./waymark.ts', import.meta.url)

if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(entry.href)
} else {
  const suffix = process.platform === 'win32' ? '.cmd' : ''
  const node = fileURLToPath(new URL(`../../node_modules/.bin/node${suffix}`, import.meta.url))
  if (!existsSync(node)) {
    console.error(
      `waymark needs Node.js 24 (this is ${process.version}): run "npm ci" in the repository first`,
    )
    process.exit(1)
  }
  const { status, signal } = spawnSync(node, [fileURLToPath(entry), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  process.exit(status ?? (signal === 'SIGINT' ? 130 : 1))
}
