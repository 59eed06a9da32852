import { BinaryWriter } from '@bufbuild/protobuf/wire'
import { ClientResourceStatus } from '@envoyproxy/protos/envoy/admin/v3/config_dump_shared.ts'
import { Node } from '@envoyproxy/protos/envoy/config/core/v3/base.ts'
import {
  ClientConfig,
  ClientConfig_GenericXdsConfig,
  ConfigStatus,
} from '@envoyproxy/protos/envoy/service/status/v3/csds.ts'
import type { XdsNode } from '../port.ts'
import type { HeldResource } from '../status/held-resources.ts'
import { secretType } from '../type-urls.ts'

/** The tag of `ClientStatusResponse.config` and of `ClientConfig.generic_xds_configs`, both length-delimited. */
const configTag = (1 << 3) | 2
const resourceTag = (3 << 3) | 2

/** `ClientConfig.node`: what the server keeps of it. */
export const encodeClientNode = ({ id, cluster, locality, agent }: XdsNode): Uint8Array => {
  const [userAgentName = '', userAgentVersion] = agent.split('/')
  const node = Node.fromPartial({ id, cluster, locality, userAgentName, userAgentVersion })
  return ClientConfig.encode(ClientConfig.fromPartial({ node })).finish()
}

/** One `generic_xds_configs` entry, with its tag: such entries one after the other are a message. */
export const encodeClientResource = (resource: HeldResource, contents: boolean): Uint8Array => {
  const { typeUrl, name, version, acked, refusal } = resource
  const body = acked?.body
  // A secret's bytes hold its private key.
  const shown = contents && typeUrl !== secretType && body !== undefined && body !== null
  const message = ClientConfig_GenericXdsConfig.fromPartial({
    typeUrl,
    name,
    versionInfo: version ?? '',
    xdsConfig: shown ? { typeUrl, value: Buffer.from(body) } : undefined,
    configStatus: configStatus(resource),
    clientStatus: clientStatus(resource),
    errorState:
      refusal === null
        ? undefined
        : {
            details: refusal.message,
            versionInfo: refusal.version,
            lastUpdateAttempt: new Date(refusal.at),
          },
  })
  return new BinaryWriter()
    .uint32(resourceTag)
    .bytes(ClientConfig_GenericXdsConfig.encode(message).finish())
    .finish()
}

/** A `ClientStatusResponse` of clients, each given as the parts of its `ClientConfig`. */
export const joinResponse = (clients: readonly (readonly Uint8Array[])[]): Buffer =>
  Buffer.concat(
    clients.flatMap(parts => {
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      return [new BinaryWriter().uint32(configTag).uint32(length).finish(), ...parts]
    }),
  )

function clientStatus({ refusal, version, absent }: HeldResource): ClientResourceStatus {
  if (refusal !== null) return ClientResourceStatus.NACKED
  if (version !== null) return ClientResourceStatus.ACKED
  return absent ? ClientResourceStatus.DOES_NOT_EXIST : ClientResourceStatus.REQUESTED
}

function configStatus({ refusal, version, wanted, absent, unanswered }: HeldResource): ConfigStatus {
  if (refusal !== null) return ConfigStatus.ERROR
  if (version === (wanted?.version ?? null) && (version !== null || absent)) return ConfigStatus.SYNCED
  return unanswered || version !== null ? ConfigStatus.STALE : ConfigStatus.NOT_SENT
}
