import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const src = 'control-plane/src'

/** docs/architecture.md, "Layers": what each folder of the control plane may import. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  runtime: ['domain'],
  store: ['domain', 'runtime'],
  registry: ['domain', 'runtime', 'store'],
  feed: ['domain', 'runtime', 'store'],
  mesh: ['domain', 'runtime'],
  xds: ['domain', 'runtime'],
  resources: ['domain', 'runtime', 'mesh', 'xds'],
  health: ['domain', 'runtime', 'registry', 'store'],
  outbox: ['domain', 'runtime', 'store'],
  rest: ['domain', 'runtime', 'registry', 'mesh', 'resources', 'xds', 'store', 'health'],
  telemetry: ['domain', 'runtime'],
  cli: ['domain', 'runtime'],
}
const folders = Object.keys(mayImport)

/** Imports between workspaces and of packages: file, what it imports, and whether that is allowed. */
const others: readonly (readonly [from: string, imports: string, allowed: boolean])[] = [
  [`${src}/registry/to-app.ts`, '../app.ts', false],
  [`${src}/main.ts`, './app.ts', true],
  [`${src}/cli/to-schemas.ts`, '../rest/schemas/leaf.ts', true],
  [`${src}/cli/to-routes.ts`, '../rest/routes/leaf.ts', false],
  [`${src}/store/to-pg.ts`, 'pg', true],
  [`${src}/rest/to-pg.ts`, 'pg', false],
  [`${src}/health/to-kysely.ts`, 'kysely', false],
  [`${src}/rest/to-fastify.ts`, 'fastify', true],
  [`${src}/app.ts`, 'fastify', true],
  [`${src}/mesh/to-fastify.ts`, 'fastify', false],
  [`${src}/health/to-deploy.ts`, '../../../deploy/local/up.ts', false],
  [`${src}/health/to-e2e.ts`, '../../../e2e/harness/load.ts', false],
  [`${src}/xds/to-envoy.ts`, '../../../sidecar-config/src/envoy/cluster.ts', false],
  [`${src}/resources/to-envoy.ts`, '../../../sidecar-config/src/envoy/cluster.ts', true],
  ['sidecar-config/src/envoy/to-mesh.ts', '../../../control-plane/src/mesh/leaf.ts', false],
  ['sidecar-config/src/envoy/to-fs.ts', 'node:fs', false],
  ['sidecar-config/src/envoy/to-crypto.ts', 'node:crypto', true],
  ['deploy/local/up.ts', '../../control-plane/src/mesh/leaf.ts', true],
  ['deploy/local/to-e2e.ts', '../../e2e/harness/load.ts', false],
  ['e2e/harness/to-deploy.ts', '../../deploy/local/up.ts', true],
  [`${src}/mesh/one.ts`, './other.ts', false],
  [`${src}/mesh/other.ts`, './one.ts', false],
]

let tree = ''
/** `file imports specifier` of every violation that dependency-cruiser reports for the tree. */
let violations: ReadonlySet<string> = new Set()

const put = async (file: string, text: string): Promise<void> => {
  await mkdir(dirname(join(tree, file)), { recursive: true })
  await writeFile(join(tree, file), text)
}

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), 'waymark-layers-'))
  const exporting = 'export const leaf = 1\n'
  for (const folder of folders) {
    await put(`${src}/${folder}/leaf.ts`, exporting)
    for (const other of folders) {
      if (other !== folder) await put(`${src}/${folder}/to-${other}.ts`, `import '../${other}/leaf.ts'\n`)
    }
  }
  await put('sidecar-config/src/envoy/cluster.ts', exporting)
  await put('e2e/harness/load.ts', exporting)
  for (const folder of ['schemas', 'routes']) await put(`${src}/rest/${folder}/leaf.ts`, exporting)
  for (const [from, imports] of others) await put(from, `import '${imports}'\n`)
  for (const name of ['pg', 'kysely', 'fastify']) {
    await put(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }))
    await put(`node_modules/${name}/index.js`, '')
  }
  await put('package.json', JSON.stringify({ dependencies: { pg: '*', kysely: '*', fastify: '*' } }))
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.base.json']) {
    await copyFile(join(root, file), join(tree, file))
  }
  const depcruise = join(root, 'node_modules', '.bin', 'depcruise')
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json']
  const run = promisify(execFile)(depcruise, [...args, 'control-plane', 'sidecar-config', 'deploy', 'e2e'], {
    cwd: tree,
    maxBuffer: 64 * 1024 * 1024,
  })
  // It ends with an error because there are violations; the report is on its standard output all the same.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string })
  const report = JSON.parse(stdout) as { modules: readonly Module[] }
  violations = new Set(
    report.modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ valid }) => !valid)
        .map(({ module, protocol = '' }) => `${source} imports ${protocol}${module}`),
    ),
  )
}, 60_000)

interface Module {
  readonly source: string
  readonly dependencies: readonly {
    readonly module: string
    /** `node:` */
    readonly protocol?: string
    readonly valid: boolean
  }[]
}

afterAll(async () => {
  await rm(tree, { recursive: true, force: true })
})

test.each(folders)('%s imports downwards only', folder => {
  const refused = folders.filter(other =>
    violations.has(`${src}/${folder}/to-${other}.ts imports ../${other}/leaf.ts`),
  )
  const upwards = folders.filter(other => other !== folder && !mayImport[folder]?.includes(other))
  expect(refused).toEqual(upwards)
})

test.each(others)('%s imports %s: allowed is %s', (from, imports, allowed) => {
  expect(violations.has(`${from} imports ${imports}`)).toBe(!allowed)
})
