// Makes @envoyproxy/protos: copies the Envoy protos that Waymark needs (and what they import) out of
// the npm package @grpc/grpc-js-xds, adds ours from extra/, and runs ts-proto over them with buf.
// Runs when the repository is installed; does nothing when its inputs have not changed.
// Plain JavaScript, because it also runs under the system's Node, before Node 24 is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const require = createRequire(import.meta.url)
const output = join(here, 'gen')
const stampFile = join(output, '.inputs')

const packageDir = name => {
  for (let dir = here; ; dir = dirname(dir)) {
    const candidate = join(dir, 'node_modules', name)
    if (existsSync(join(candidate, 'package.json'))) return candidate
    if (dir === dirname(dir)) throw new Error(`${name} is not installed: run npm install first`)
  }
}
const versionOf = name => JSON.parse(readFileSync(join(packageDir(name), 'package.json'), 'utf8')).version

const deps = join(packageDir('@grpc/grpc-js-xds'), 'deps')
const sourceDirs = [
  join(here, 'extra'),
  join(deps, 'envoy-api'),
  join(deps, 'xds'),
  join(deps, 'googleapis'),
  join(deps, 'protoc-gen-validate'),
]

/** ts-proto's options; see ADR 002. */
const options = [
  'env=node',
  'esModuleInterop=true',
  'importSuffix=.ts',
  'enumsAsLiterals=true',
  'outputJsonMethods=to-only',
  'outputPartialMethods=true',
  'outputServices=grpc-js',
  'useExactTypes=false',
  'useOptionals=messages',
  'comments=false',
]

/** protoc-gen-validate in that package is older than the Envoy protos beside it. */
const patch = (path, text) =>
  path === 'validate/validate.proto' && !text.includes('ignore_empty = 26')
    ? text.replace(
        /(message StringRules \{[\s\S]*?)(\n\s*\/\/ WellKnown rules)/,
        '$1\n  optional bool ignore_empty = 26;$2',
      )
    : text

/** The roots and everything they import, as path -> text. Google's well-known types come with buf. */
const closure = roots => {
  const files = new Map()
  const visit = path => {
    if (files.has(path) || path.startsWith('google/protobuf/')) return
    const dir = sourceDirs.find(candidate => existsSync(join(candidate, path)))
    if (dir === undefined) throw new Error(`proto ${path} was found in none of: ${sourceDirs.join(', ')}`)
    const text = patch(path, readFileSync(join(dir, path), 'utf8'))
    files.set(path, text)
    for (const match of text.matchAll(/^import (?:public )?"([^"]+)";/gm)) visit(match[1])
  }
  for (const root of roots) visit(root)
  return files
}

const roots = readFileSync(join(here, 'roots.txt'), 'utf8')
  .split('\n')
  .filter(line => line !== '' && !line.startsWith('#'))
const files = closure(roots)
const hash = createHash('sha256')
for (const [path, text] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
  hash.update(path).update('\0').update(text).update('\0')
hash.update(JSON.stringify([options, versionOf('ts-proto'), versionOf('@bufbuild/buf')]))
const stamp = hash.digest('hex')

if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) process.exit(0)

const started = Date.now()
const staging = join(here, '.staging')
const made = join(here, '.staging-gen')
for (const dir of [staging, made]) rmSync(dir, { recursive: true, force: true })
for (const [path, text] of files) {
  mkdirSync(dirname(join(staging, path)), { recursive: true })
  writeFileSync(join(staging, path), text)
}
const plugin = join(packageDir('ts-proto'), 'protoc-gen-ts_proto')
const template = {
  version: 'v2',
  // Well-known types are generated like the others, so that there is one module for each.
  plugins: [
    {
      local: [process.execPath, plugin],
      out: made,
      opt: options,
      include_imports: true,
      include_wkt: true,
      strategy: 'all',
    },
  ],
}
const buf = require.resolve('@bufbuild/buf/bin/buf', { paths: [packageDir('@bufbuild/buf')] })
const run = spawnSync(process.execPath, [buf, 'generate', staging, '--template', JSON.stringify(template)], {
  stdio: ['ignore', 'inherit', 'inherit'],
})
if (run.status !== 0) {
  console.error(`@envoyproxy/protos: buf generate failed (exit ${run.status ?? run.signal})`)
  process.exit(1)
}
rmSync(output, { recursive: true, force: true })
cpSync(made, output, { recursive: true })
writeFileSync(stampFile, stamp)
for (const dir of [staging, made]) rmSync(dir, { recursive: true, force: true })
console.log(
  `@envoyproxy/protos: ${files.size} protos generated in ${((Date.now() - started) / 1000).toFixed(1)} s`,
)
