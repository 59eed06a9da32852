import { Command } from 'commander'
import { hostPort } from '@waymark/sidecar-config/model/host-port.ts'
import { verdicts } from '../../domain/verdict.ts'
import type { InstanceListView, ServiceListView } from '../../rest/schemas/instance.ts'
import { parseServiceName, type Run } from '../command-context.ts'
import { exitCodes } from '../exit-code.ts'
import { table } from '../table.ts'

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
