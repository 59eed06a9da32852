import { resolve } from 'node:path'
import { ControlPlane } from './control-plane.ts'
import { findEnvoy } from './envoy.ts'
import { startMesh, type Mesh } from './mesh.ts'
import { chooseListen, type Listen } from './ports.ts'
import { startPostgres, type Postgres } from './postgres.ts'
import { Supervisor, type ManagedProcess } from './processes.ts'
import { checkDatabase } from './check-database.ts'
import { claimDataDir, type RunLock } from './run-lock.ts'
import { waitFor } from './wait.ts'
import type { Screen } from './screen.ts'

/** Application and Envoy ports of the sample mesh begin here, so that they are the same in every run. */
const sampleBasePort = 7_510

export interface StackOptions {
  readonly env: NodeJS.ProcessEnv
  readonly samples: boolean
  readonly screen: Screen
  /** Ends a start that is under way. */
  readonly signal: AbortSignal
  /** A process, or `postgres`, ended without having been told to. */
  readonly onUnexpectedEnd: (name: string) => void
}

/** All results, or the first error after all have ended: nothing goes on behind a failure's back. */
const together = async <A, B>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> => {
  const failure = new AbortController()
  const both = AbortSignal.any([signal, failure.signal])
  const guard = async <T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await run(both)
    } catch (error) {
      failure.abort(error)
      throw error
    }
  }
  const [a, b] = await Promise.allSettled([guard(first), guard(second)])
  if (a.status === 'fulfilled' && b.status === 'fulfilled') return [a.value, b.value]
  throw failure.signal.reason
}

/** Everything that `npm run up` runs. */
export class Stack {
  readonly dataDir: string
  readonly #options: StackOptions
  readonly #supervisor: Supervisor
  #lock: RunLock | null = null
  #controlPlane: ControlPlane | null = null
  #postgres: Postgres | null = null
  #mesh: Mesh | null = null

  constructor(options: StackOptions) {
    this.#options = options
    this.dataDir = resolve(options.env['WAYMARK_DATA_DIR'] || '.waymark')
    this.#supervisor = new Supervisor({
      logDir: resolve(this.dataDir, 'logs'),
      onChange: running => {
        this.#record(running)
      },
      onUnexpectedEnd: ({ name }) => {
        options.onUnexpectedEnd(name)
      },
    })
  }

  get controlPlane(): ControlPlane {
    if (this.#controlPlane === null) throw new Error('the control plane has not been started')
    return this.#controlPlane
  }

  /** null where DATABASE_URL names another one. */
  get postgres(): Postgres | null {
    return this.#postgres
  }

  /** null without samples. */
  get mesh(): Mesh | null {
    return this.#mesh
  }

  get running(): readonly ManagedProcess[] {
    return this.#supervisor.running
  }

  async start(): Promise<void> {
    const { env, samples, screen, signal } = this.#options
    const onNotice = (text: string): void => {
      screen.note(text)
    }
    this.#lock = await claimDataDir({ dataDir: this.dataDir, onNotice, signal })
    const http = await this.#listen('WAYMARK_HTTP_LISTEN', 7_400)
    const xds = await this.#listen('WAYMARK_XDS_LISTEN', 7_401, http.port)
    const [envoy, controlPlane] = await together(
      signal,
      inner =>
        samples
          ? screen.step(
              'Envoy',
              progress => findEnvoy({ env, signal: inner, onProgress: progress }),
              ({ version, origin, path }) =>
                `Envoy ${version} (${origin === 'fetched' ? 'fetched' : `from ${origin}`}: ${path})`,
            )
          : Promise.resolve(null),
      async inner => {
        const databaseUrl = await this.#database(inner, new Set([http.port, xds.port]))
        return this.#startControlPlane({ databaseUrl, http, xds, signal: inner })
      },
    )
    if (envoy !== null) await this.#startMesh(envoy.path, controlPlane)
  }

  /** Stops everything, the applications first; resolves when nothing runs any more. */
  async stop(): Promise<void> {
    await this.#supervisor.stopAll()
    await this.#postgres?.stop()
    this.#lock?.release()
  }

  /** Without waiting and without asking. The next run recovers. */
  killNow(): void {
    this.#supervisor.killAllNow()
    const pid = this.#postgres?.pid ?? null
    if (pid !== null) process.kill(pid, 'SIGQUIT')
  }

  #listen(variable: string, port: number, other?: number): Promise<Listen> {
    const { env, screen } = this.#options
    return chooseListen({
      variable,
      value: env[variable],
      fallback: { host: '127.0.0.1', port },
      avoid: new Set(other === undefined ? [] : [other]),
      onNote: text => {
        screen.note(text)
      },
    })
  }

  async #database(signal: AbortSignal, avoid: ReadonlySet<number>): Promise<string> {
    const { env, screen, onUnexpectedEnd } = this.#options
    const external = env['DATABASE_URL']
    if (external !== undefined && external !== '') {
      await screen.step(
        'Postgres of DATABASE_URL',
        () => checkDatabase(external),
        version => `Postgres ${version} of DATABASE_URL`,
      )
      return external
    }
    this.#postgres = await screen.step(
      'Postgres',
      () =>
        startPostgres({
          dataDir: this.dataDir,
          avoid,
          signal,
          onNotice: text => {
            screen.note(text)
          },
          onUnexpectedEnd: () => {
            onUnexpectedEnd('postgres')
          },
        }),
      ({ port, directory }) => `Postgres on port ${port}, data in ${directory}`,
    )
    return this.#postgres.url
  }

  #startControlPlane(options: {
    databaseUrl: string
    http: Listen
    xds: Listen
    signal: AbortSignal
  }): Promise<ControlPlane> {
    const controlPlane = new ControlPlane({
      ...options,
      supervisor: this.#supervisor,
      dataDir: this.dataDir,
      env: this.#options.env,
    })
    this.#controlPlane = controlPlane
    return this.#options.screen.step(
      'control plane: migrating and loading the mesh',
      async () => {
        await controlPlane.start()
        return controlPlane
      },
      ({ url, xds }) => `control plane: REST at ${url} (pages at ${url}/docs), xDS on port ${xds.port}`,
    )
  }

  async #startMesh(envoy: string, controlPlane: ControlPlane): Promise<void> {
    const { screen, signal } = this.#options
    await screen.step(
      'sample mesh',
      async progress => {
        const mesh = await startMesh({
          supervisor: this.#supervisor,
          envoy,
          controlPlane: [controlPlane],
          dataDir: this.dataDir,
          basePort: sampleBasePort,
          signal,
        })
        this.#mesh = mesh
        let ready = 0
        progress(`0 of ${mesh.instances.length} instances ready`)
        await Promise.all(
          mesh.instances.map(async instance => {
            await instance.waitUntilReady()
            ready += 1
            progress(`${ready} of ${mesh.instances.length} instances ready`)
          }),
        )
        return mesh
      },
      ({ instances }) => `sample mesh: ${instances.length} instances, each with an Envoy of its own`,
    )
    await screen.step(
      'first request',
      () => this.#firstRequest(),
      path => `first request: ${path.join(' → ')}`,
    )
  }

  /** The path of a request that crosses the whole mesh. */
  #firstRequest(): Promise<string[]> {
    const [web] = this.#mesh?.of('web') ?? []
    if (web === undefined) throw new Error('the sample mesh has no web')
    return waitFor(
      async () => {
        const response = await fetch(web.url, { signal: AbortSignal.timeout(5_000) })
        const body = await response.text()
        if (!response.ok) throw new Error(`${response.status}: ${body.trim()}`)
        const { path } = JSON.parse(body) as { path: readonly { instance: string }[] }
        return path.map(({ instance }) => instance)
      },
      {
        what: 'a request to cross the mesh',
        timeoutMs: 20_000,
        intervalMs: 50,
        signal: this.#options.signal,
      },
    )
  }

  #record(running: readonly ManagedProcess[]): void {
    this.#lock?.record(running.map(({ name, identity }) => ({ name, ...identity })))
  }
}
