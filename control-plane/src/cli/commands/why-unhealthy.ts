import { Command } from 'commander'
import type { Verdict } from '../../domain/verdict.ts'
import type { InstanceDetailView, InstanceListView } from '../../rest/schemas/instance.ts'
import {
  instancePath,
  parseInstance,
  parseServiceName,
  type CommandContext,
  type Run,
} from '../command-context.ts'
import { exitCodes, type ExitCode } from '../exit-code.ts'
import { explainInstance } from '../explain-instance.ts'

/** Worst first; what is healthy needs no words. */
const ranks: Readonly<Record<Verdict, number>> = {
  unhealthy: 5,
  degraded: 4,
  maintenance: 3,
  draining: 2,
  unknown: 1,
  healthy: 0,
}

/** Instances that are explained; of more, only the number is told. */
const explainedLimit = 20

const finding = (instances: readonly { readonly verdict: Verdict }[]): ExitCode =>
  instances.some(({ verdict }) => verdict === 'unhealthy') ? exitCodes.finding : exitCodes.ok

/** `2 unhealthy, 1 draining`. */
const tally = (instances: readonly { readonly verdict: Verdict }[]): string =>
  Object.keys(ranks)
    .map(verdict => ({ verdict, count: instances.filter(one => one.verdict === verdict).length }))
    .filter(({ count }) => count > 0)
    .map(({ verdict, count }) => `${count} ${verdict}`)
    .join(', ')

const whyInstance = async (
  { api, print, terminal }: CommandContext,
  ref: { readonly service: string; readonly id: string },
): Promise<ExitCode> => {
  const found = await api.get<InstanceDetailView>(instancePath(ref))
  print(found, () => explainInstance(found, terminal.clock.now()))
  return finding([found])
}

const whyService = async ({ api, print, terminal }: CommandContext, service: string): Promise<ExitCode> => {
  const { instances } = await api.get<InstanceListView>(`/services/${encodeURIComponent(service)}/instances`)
  const ailing = instances
    .filter(({ verdict }) => verdict !== 'healthy')
    .sort((a, b) => ranks[b.verdict] - ranks[a.verdict] || (a.id < b.id ? -1 : 1))
  const shown: InstanceDetailView[] = []
  // One by one: an answer that fails is told as such, and nobody's control plane is flooded.
  for (const instance of ailing.slice(0, explainedLimit)) {
    shown.push(await api.get<InstanceDetailView>(instancePath(instance)))
  }
  print(shown, () => {
    if (ailing.length === 0) return `${service}: all ${instances.length} instances are healthy`
    const more = ailing.length - shown.length
    return [
      `${service}: ${tally(instances)} of ${instances.length}`,
      ...shown.map(instance => explainInstance(instance, terminal.clock.now())),
      ...(more === 0 ? [] : [`and ${more} more that are not healthy: waymark instances ${service}`]),
    ].join('\n\n')
  })
  return finding(ailing)
}

/** `waymark why-unhealthy SERVICE [INSTANCE]`: exit code 1 when an instance is unhealthy. */
export const whyUnhealthyCommand = (run: Run): Command => {
  const command = new Command('why-unhealthy')
    .alias('why')
    .description('why instances are not healthy, worst first, and what would end it')
    .argument('<service>', 'a service, or SERVICE/ID')
    .argument('[instance]', 'only this one; also if it is healthy')
  return command.action((service: string, id: string | undefined) =>
    run(command, context => {
      if (id !== undefined) return whyInstance(context, parseInstance(`${service}/${id}`))
      if (service.includes('/')) return whyInstance(context, parseInstance(service))
      return whyService(context, parseServiceName(service))
    }),
  )
}
