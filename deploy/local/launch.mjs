// The first thing every npm script runs: brings a fresh clone to the state in which the rest works
// (dependencies, Node 24, generated protos), then runs the command given in its arguments.
// Plain JavaScript without dependencies for Node 20 and newer, because it runs before anything is installed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, delimiter } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const minimumNode = 20
const windows = process.platform === 'win32'
const npm = windows ? 'npm.cmd' : 'npm'
const node = join(root, 'node_modules', '.bin', windows ? 'node.cmd' : 'node')

const fail = message => {
  console.error(`\n✗ ${message}\n`)
  process.exit(1)
}

const underNpm = process.env.npm_lifecycle_event !== undefined

/** The signal that was sent to this process, if any; the terminal sends Ctrl-C to its children as well. */
let ending = null
/**
 * Runs a command to its end with the terminal as its own; what to do about failure is the caller's. With `onStart`,
 * which gets its process id, the command is killed with all that it has started when this process is told to end:
 * npm would first finish what it is unpacking, for a minute on a slow machine.
 */
const run = (command, args, { onStart, ...options } = {}) =>
  new Promise(resolve => {
    const expendable = onStart !== undefined
    const child = spawn(command, args, {
      stdio: 'inherit',
      cwd: root,
      detached: expendable && !windows,
      ...options,
    })
    if (expendable && child.pid !== undefined) onStart(child.pid)
    const passOn = signal => {
      if (!expendable) child.kill(signal)
      else if (windows) child.kill('SIGKILL')
      else if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }
    const interrupted = () => {
      ending = 'SIGINT'
      // Without a terminal, or in a group of its own, nobody else has told it.
      if (expendable || !process.stdin.isTTY) passOn('SIGINT')
    }
    const told = signal => {
      ending = signal
      passOn(signal)
    }
    // npm was killed without a chance to tell anybody.
    const parent = process.ppid
    const watch = setInterval(() => {
      if (underNpm && process.ppid !== parent && ending === null) told('SIGTERM')
    }, 500)
    process.on('SIGINT', interrupted)
    for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, told)
    const done = result => {
      clearInterval(watch)
      process.off('SIGINT', interrupted)
      for (const signal of ['SIGTERM', 'SIGHUP']) process.off(signal, told)
      resolve(result)
    }
    child.on('error', error => done({ error, code: null, signal: null }))
    child.on('exit', (code, signal) => done({ error: null, code, signal }))
  })

/** What node_modules is made from; a change of it installs again. */
const wanted = () =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(readFileSync(join(root, 'package.json')))
    .digest('hex')
/** Inside node_modules, which npm ci deletes first: an install that was killed leaves no marker. */
const marker = join(root, 'node_modules', '.waymark-installed')
const isInstalled = () => existsSync(marker) && readFileSync(marker, 'utf8') === wanted() && existsSync(node)

const runs = pid => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/**
 * Only one process installs; another waits for it. The lock names that process and its npm, which outlives it when
 * it is killed; when both have ended the lock counts for nothing.
 */
const lock = join(root, '.cache', 'install.lock')
const releaseLock = () => rmSync(lock, { force: true })
const takeLock = async () => {
  mkdirSync(dirname(lock), { recursive: true })
  for (let told = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      process.once('exit', releaseLock)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    let owner = ''
    try {
      owner = readFileSync(lock, 'utf8')
    } catch {
      // it has just been released
    }
    if (owner !== '' && !owner.split(' ').some(pid => runs(Number(pid)))) rmSync(lock, { force: true })
    else if (!told) {
      console.log('› waiting for another process that installs the dependencies')
      told = true
    }
    await delay(200)
  }
}

const install = async () => {
  console.log('› installing dependencies with npm ci (20 s or so on a fast network)')
  const started = Date.now()
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`
  // npm draws a progress bar of its own where there is a terminal.
  const ticker = setInterval(() => {
    if (!process.stdout.isTTY) console.log(`  still installing after ${seconds()}`)
  }, 10_000)
  const onStart = pid => {
    writeFileSync(lock, `${process.pid} ${pid}`)
  }
  const result = await run(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { onStart })
  clearInterval(ticker)
  if (ending !== null) process.exit(130)
  if (result.error !== null)
    fail(
      `npm could not be run (${result.error.code ?? result.error.message}). Install it and put it on PATH ` +
        '(Debian, Ubuntu: apt-get install npm; Fedora: dnf install npm; macOS: brew install node).',
    )
  if (result.code !== 0)
    fail(
      "npm ci failed; its messages are above. Check the network and npm's registry setting, then try again.",
    )
  if (!existsSync(node)) {
    console.log('› npm was told not to run install scripts: running only the one of the package "node"')
    await run(npm, ['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], { onStart })
    if (ending !== null) process.exit(130)
    if (!existsSync(node)) fail('node_modules/.bin/node is missing: delete node_modules and try again.')
  }
  writeFileSync(marker, wanted())
  console.log(`✓ dependencies installed in ${seconds()}`)
}

const major = Number(process.versions.node.split('.')[0])
if (major < minimumNode) {
  fail(
    `Waymark needs Node.js ${minimumNode} or newer to start (this is ${process.version}). ` +
      'Install it (Debian, Ubuntu: apt-get install nodejs npm; Fedora: dnf install nodejs; macOS: brew install node; ' +
      'or anywhere: nvm install 24).',
  )
}

const [command, ...rest] = process.argv.slice(2)
if (command === undefined) fail('usage: node deploy/local/launch.mjs COMMAND [ARGUMENT ...]')
if (command === '--installed') {
  // Told by npm itself, at the end of an install that somebody else began.
  if (existsSync(node)) writeFileSync(marker, wanted())
  process.exit(0)
}

if (!isInstalled()) {
  await takeLock()
  if (!isInstalled()) await install()
  process.off('exit', releaseLock)
  releaseLock()
}

// Cheap when nothing changed; covers installs with scripts switched off.
const protos = await run(node, [join(root, 'sidecar-config', 'protos', 'generate.mjs')])
if (ending !== null) process.exit(130)
if (protos.code !== 0) fail('Generating the Envoy protos failed; the messages are above.')

const { error, code, signal } = await run(command, rest, {
  env: {
    ...process.env,
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`,
    // Halves the start of every Node process of ours.
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(root, '.cache', 'node'),
  },
})
if (error !== null) fail(`${command} could not be started: ${error.message}`)
process.exit(code ?? (signal === 'SIGINT' ? 130 : 1))
