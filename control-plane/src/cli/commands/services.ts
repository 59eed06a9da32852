import { Command } from 'commander'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { verdicts } from '../../domain/verdict.ts'
import type { InstanceListView, ServiceListView } from '../../rest/schemas/instance.ts'
import { parseServiceName, type Run } from '../command-context.ts'
import { exitCodes } from '../exit-code.ts'
import { table } from '../table.ts'

const atMeaning = 'as it was at a revision, or a time such as 2026-11-21T14:03:00Z'

const queryOf = (parameters: Readonly<Record<string, string | undefined>>): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query.toString()}`
}

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
  const command = new Command('services')
    .description('every service with its instances by verdict')
    .option('--at <moment>', atMeaning)
  return command.action(({ at }: { readonly at?: string }) =>
    run(command, async ({ api, print }) => {
      const list = await api.get<ServiceListView>(`/services${queryOf({ at })}`)
      print(list, () => servicesText(list))
      return exitCodes.ok
    }),
  )
}

export const instancesText = ({ instances }: InstanceListView): string =>
  table(
    ['instance', 'verdict', 'address', 'sidecar', 'version', 'weight', 'zone', 'revision'],
    instances.map(
      ({ id, verdict, flapping, address, port, sidecar, version, weight, locality, revision }) => [
        id,
        flapping === null ? verdict : `${verdict} (flapping)`,
        hostPort({ host: address, port }),
        sidecar === null ? '-' : `:${sidecar.port}`,
        version ?? '-',
        `${weight}`,
        locality.zone === '' ? '-' : locality.zone,
        `${revision}`,
      ],
    ),
    'no instances',
  )

/** `waymark instances SERVICE`. */
export const instancesCommand = (run: Run): Command => {
  const command = new Command('instances')
    .description('the instances of a service')
    .argument('<service>')
    .option('--health <verdicts>', 'only these, joined by commas')
    .option('--at <moment>', atMeaning)
  return command.action((service: string, query: { readonly health?: string; readonly at?: string }) =>
    run(command, async ({ api, print }) => {
      const list = await api.get<InstanceListView>(
        `/services/${parseServiceName(service)}/instances${queryOf(query)}`,
      )
      print(list, () => instancesText(list))
      return exitCodes.ok
    }),
  )
}
