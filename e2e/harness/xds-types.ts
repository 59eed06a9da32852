import {
  clusterType,
  endpointType,
  listenerType,
  routeType,
  virtualHostType,
} from '@waymark/control-plane/xds/type-urls.ts'

const short: Readonly<Record<string, string>> = {
  [clusterType]: 'CDS',
  [endpointType]: 'EDS',
  [listenerType]: 'LDS',
  [routeType]: 'RDS',
  [virtualHostType]: 'VHDS',
}

/** `EDS` for the type URL of endpoints; an unknown type stays as it is. */
export const shortType = (typeUrl: string): string => short[typeUrl] ?? typeUrl
