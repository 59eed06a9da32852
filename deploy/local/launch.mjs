// The first thing every npm script runs: brings a fresh clone to the state in which the rest works
// (dependencies, Node 24, generated protos), then runs the command given in its arguments.
// Plain JavaScript without dependencies, because it runs before anything is installed.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const minimumNode = 20

const fail = message => {
  console.error(`\n  ${message}\n`)
  process.exit(1)
}

const major = Number(process.versions.node.split('.')[0])
if (major < minimumNode) {
  fail(
    `Waymark needs Node.js ${minimumNode} or newer to start (this is ${process.version}). ` +
      'Install it from your system (macOS: brew install node; Debian/Ubuntu: apt-get install nodejs npm; or nvm install 24).',
  )
}

/** What node_modules was installed from; a changed lock file installs again. */
const installed = join(root, 'node_modules', '.waymark-installed')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .update(readFileSync(join(root, 'package.json')))
  .digest('hex')

if (!existsSync(installed) || readFileSync(installed, 'utf8') !== wanted) {
  console.log('› installing dependencies with npm ci (about 20 s when the npm cache is cold)')
  const started = Date.now()
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const run = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (run.error !== undefined)
    fail(`npm could not be run (${run.error.message}). Install npm and put it on PATH.`)
  if (run.status !== 0)
    fail(
      'npm ci failed; its messages are above. Check the network and the npm registry setting, then try again.',
    )
  mkdirSync(dirname(installed), { recursive: true })
  writeFileSync(installed, wanted)
  console.log(`✓ dependencies installed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

const node = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node')
if (!existsSync(node))
  fail('node_modules/.bin/node is missing: delete node_modules and run the command again.')

// Cheap when nothing changed; covers installs with scripts switched off.
const protos = spawnSync(node, [join(root, 'sidecar-config', 'protos', 'generate.mjs')], { stdio: 'inherit' })
if (protos.status !== 0) fail('Generating the Envoy protos failed; the messages are above.')

const [command, ...rest] = process.argv.slice(2)
if (command === undefined) fail('usage: node deploy/local/launch.mjs COMMAND [ARGUMENT ...]')
const child = spawn(command, rest, {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}` },
})
// The terminal sends Ctrl-C to the child as well; wait for it to finish its own shutdown. A signal sent to
// this process alone (kill, a supervisor) is passed on.
process.on('SIGINT', () => {})
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', error => fail(`${command} could not be started: ${error.message}`))
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
