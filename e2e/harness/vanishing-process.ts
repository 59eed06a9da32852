/** Opens streams that follow one resource and answer, until its host is cut off; see `18-hostile-clients`. */
import { DeltaClient } from '@waymark/control-plane/xds/testing/delta-client.ts'
import { endpointType } from '@waymark/control-plane/xds/type-urls.ts'

interface Options {
  readonly host: string
  readonly port: number
  readonly streams: number
  readonly resource: string
}

const { host, port, streams, resource } = JSON.parse(process.argv[2] ?? '{}') as Options

const follow = async (number: number): Promise<void> => {
  const client = new DeltaClient({ host, port }, `vanishing/${number}`)
  client.send({ typeUrl: endpointType, resourceNamesSubscribe: [resource] })
  for (;;) await client.take()
}

await Promise.all(Array.from({ length: streams }, (_, number) => follow(number)))
