import { Command } from 'commander'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { verdicts } from '../../domain/verdict.ts'
import type { InstanceDetailView, InstanceListView, ServiceListView } from '../../rest/schemas/instance.ts'
import { instancePath, parseInstance, parseServiceName, type Run } from '../command-context.ts'
import { exitCodes } from '../exit-code.ts'
import { ago, table } from '../table.ts'

export const servicesText = ({ services }: ServiceListView): string =>
  table(
    ['service', 'instances', ...verdicts, 'document'],
    services.map(({ name, instances, verdicts: counts, document }) => [
      name,
      `${instances}`,
      ...verdicts.map(verdict => (counts[verdict] === 0 ? '-' : `${counts[verdict]}`)),
      document === null ? '-' : `revision ${document}`,
    ]),
    'no services are registered',
  )

/** `waymark services`. */
export const servicesCommand = (run: Run): Command => {
  const command = new Command('services').description('every service with its instances by verdict')
  return command.action(() =>
    run(command, async ({ api, print }) => {
      const list = await api.get<ServiceListView>('/services')
      print(list, () => servicesText(list))
      return exitCodes.ok
    }),
  )
}

export const instancesText = ({ instances }: InstanceListView): string =>
  table(
    ['instance', 'verdict', 'address', 'sidecar', 'version', 'weight', 'zone', 'revision'],
    instances.map(({ id, verdict, address, port, sidecar, version, weight, locality, revision }) => [
      id,
      verdict,
      hostPort({ host: address, port }),
      sidecar === null ? '-' : `:${sidecar.port}`,
      version ?? '-',
      `${weight}`,
      locality.zone === '' ? '-' : locality.zone,
      `${revision}`,
    ]),
    'no instances',
  )

/** `waymark instances SERVICE`. */
export const instancesCommand = (run: Run): Command => {
  const command = new Command('instances')
    .description('the instances of a service')
    .argument('<service>')
    .option('--health <verdicts>', 'only these, joined by commas')
  return command.action((service: string, { health }: { readonly health?: string }) =>
    run(command, async ({ api, print }) => {
      const filter = health === undefined ? '' : `?health=${encodeURIComponent(health)}`
      const list = await api.get<InstanceListView>(
        `/services/${parseServiceName(service)}/instances${filter}`,
      )
      print(list, () => instancesText(list))
      return exitCodes.ok
    }),
  )
}

const decisive = { unhealthy: 'critical', degraded: 'warning', healthy: 'passing' } as const

/** Why the verdict is what it is, in one sentence. */
const reason = ({ verdict, override, evidence }: InstanceDetailView): string => {
  if (override !== null) {
    const words = override.reason === '' ? '' : `: ${override.reason}`
    return `set by ${override.actor}${words}`
  }
  if (!(verdict in decisive)) return 'nobody has said anything about it that still holds'
  const status = decisive[verdict as keyof typeof decisive]
  const sources = evidence.filter(one => one.status === status).map(({ source }) => source)
  return `${sources.join(', ')} ${sources.length === 1 ? 'says' : 'say'} ${status}`
}

export const whyText = (instance: InstanceDetailView, now: number): string => {
  const { service, id, address, port, incarnation, revision, evidence, removeAt, freshness } = instance
  return [
    `${service}/${id} is ${instance.verdict.toUpperCase()}: ${reason(instance)}`,
    `${hostPort({ host: address, port })}, incarnation ${incarnation}, last changed at revision ${revision}` +
      (removeAt === null ? '' : `, to be removed at ${removeAt}`),
    '',
    table(
      ['source', 'status', 'for', 'confirmed', 'by', 'valid until', 'seen'],
      evidence.map(({ source, status, since, observedAt, observer, validUntil, output }) => [
        source,
        status,
        ago(since, now),
        `${freshness === 'log' ? 'at least ' : ''}${ago(observedAt, now)} ago`,
        observer,
        validUntil ?? 'replaced',
        output,
      ]),
      'no evidence',
    ),
  ].join('\n')
}

/** `waymark why SERVICE/ID`: exit code 1 when the instance is unhealthy. */
export const whyCommand = (run: Run): Command => {
  const command = new Command('why')
    .description('the verdict on an instance, and all evidence behind it')
    .argument('<service/id>')
  return command.action((instance: string) =>
    run(command, async ({ api, print, terminal }) => {
      const found = await api.get<InstanceDetailView>(instancePath(parseInstance(instance)))
      print(found, () => whyText(found, terminal.clock.now()))
      return found.verdict === 'unhealthy' ? exitCodes.finding : exitCodes.ok
    }),
  )
}
