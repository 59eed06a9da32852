// The layers of docs/architecture.md: imports go downwards only.
const src = 'control-plane/src/'
/** folder -> the folders it may import, besides domain and runtime */
const allowed = {
  domain: [],
  runtime: [],
  store: [],
  registry: ['store'],
  feed: ['store'],
  mesh: [],
  xds: [],
  resources: ['mesh', 'xds'],
  health: ['registry', 'store'],
  outbox: ['store'],
  rest: ['registry', 'mesh', 'resources', 'xds', 'store', 'health'],
  telemetry: [],
  cli: ['rest/schemas'],
}
const layers = Object.entries(allowed).map(([folder, below]) => ({
  name: `layer-${folder}`,
  comment: `${folder} may import only: ${[...below, 'domain', 'runtime'].join(', ')}`,
  severity: 'error',
  from: { path: `^${src}${folder}/` },
  to: {
    path: `^${src}`,
    pathNot: [folder, ...below, ...(folder === 'domain' ? [] : ['domain', 'runtime'])].map(
      name => `^${src}${name}/`,
    ),
  },
}))
const only = (name, packages, folders) => ({
  name,
  comment: `${packages.join(', ')} only in ${folders.join(', ')}`,
  severity: 'error',
  from: { path: '^(control-plane/src|sidecar-config/src)/', pathNot: folders.map(folder => `^${folder}`) },
  to: { path: packages.map(name => `(^|/)node_modules/${name}(/|$)`) },
})
module.exports = {
  forbidden: [
    ...layers,
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'sidecar-config-is-the-bottom',
      severity: 'error',
      from: { path: '^sidecar-config/' },
      to: { path: '^(control-plane|deploy|e2e)/' },
    },
    {
      name: 'control-plane-below-deploy',
      severity: 'error',
      from: { path: '^control-plane/' },
      to: { path: '^(deploy|e2e)/' },
    },
    { name: 'deploy-below-e2e', severity: 'error', from: { path: '^deploy/' }, to: { path: '^e2e/' } },
    {
      name: 'xds-knows-no-config',
      comment: 'The generic xDS server knows protos, not sidecars.',
      severity: 'error',
      from: { path: `^${src}(xds|domain|store|registry|feed)/` },
      to: { path: '^sidecar-config/src/envoy' },
    },
    {
      name: 'sidecar-config-is-pure',
      comment: 'No input or output in sidecar-config.',
      severity: 'error',
      from: { path: '^sidecar-config/src/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(crypto|node:crypto)$' },
    },
    only('database-in-store-only', ['pg', 'kysely'], [`${src}store/`]),
    only('fastify-in-rest-only', ['fastify', '@fastify/.*'], [`${src}rest/`, `${src}app.ts`]),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(\\.tsbuild|protos/gen)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js'],
    },
  },
}
