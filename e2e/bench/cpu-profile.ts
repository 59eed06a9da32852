import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { figure } from './statistics.ts'
import { renderRows } from './table.ts'

/** Milliseconds of `machineTime`, which V8's profiler uses as well. Filled in while the profile is taken. */
export interface ProfileWindow {
  from: number
  to: number
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Microseconds. */
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const shown = 30

const placeOf = ({ url, lineNumber }: ProfileNode['callFrame']): string =>
  url === '' ? '' : `${url.replace(/^.*\/(?=[^/]+\/[^/]+$)/, '')}:${lineNumber + 1}`

const nameOf = (frame: ProfileNode['callFrame']): string =>
  `${frame.functionName === '' ? '(anonymous)' : frame.functionName} ${placeOf(frame)}`.trim()

/** Self time and total time of the functions in all profiles of a directory, within the window, as a table. */
export const topFunctions = async (directory: string, window: ProfileWindow): Promise<string> => {
  const self = new Map<string, number>()
  const total = new Map<string, number>()
  const ours = new Set<string>()
  let all = 0
  let idle = 0
  for (const file of (await readdir(directory)).filter(name => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(await readFile(join(directory, file), 'utf8')) as CpuProfile
    const stacks = stacksOf(profile)
    for (const { callFrame } of profile.nodes)
      if (/\/(control-plane|sidecar-config)\/src\//.test(callFrame.url)) ours.add(nameOf(callFrame))
    let at = profile.startTime
    for (const [index, id] of profile.samples.entries()) {
      const delta = profile.timeDeltas[index] ?? 0
      at += delta
      if (at < window.from * 1_000 || at > window.to * 1_000) continue
      const stack = stacks.get(id) ?? []
      if (stack[0]?.startsWith('(idle)') === true) {
        idle += delta
        continue
      }
      all += delta
      const [top] = stack
      if (top !== undefined) self.set(top, (self.get(top) ?? 0) + delta)
      for (const name of new Set(stack)) total.set(name, (total.get(name) ?? 0) + delta)
    }
  }
  const share = (us: number): string => `${((100 * us) / all).toFixed(1)} %`
  const table = (
    title: string,
    by: ReadonlyMap<string, number>,
    include: (name: string) => boolean,
  ): string =>
    renderRows(
      [title, 'self', 'self', 'with what it calls'],
      [...by]
        .filter(([name]) => include(name))
        .sort(([, a], [, b]) => b - a)
        .slice(0, shown)
        .map(([name]) => {
          const own = self.get(name) ?? 0
          return [name, `${figure(own / 1_000)} ms`, share(own), share(total.get(name) ?? 0)]
        }),
    )
  return [
    `${figure(all / 1e6)} s of work, ${figure(idle / 1e6)} s idle`,
    table('function, by its own time', self, () => true),
    table("the project's functions, with what they call", total, name => ours.has(name)),
  ].join('\n')
}

/** Node id -> names of the functions from the innermost outwards. */
const stacksOf = ({ nodes }: CpuProfile): ReadonlyMap<number, readonly string[]> => {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const stacks = new Map<number, readonly string[]>()
  const visit = (id: number, outer: readonly string[]): void => {
    const node = byId.get(id)
    if (node === undefined) return
    const stack = [nameOf(node.callFrame), ...outer]
    stacks.set(id, stack)
    for (const child of node.children ?? []) visit(child, stack)
  }
  const [root] = nodes
  if (root !== undefined) visit(root.id, [])
  return stacks
}
