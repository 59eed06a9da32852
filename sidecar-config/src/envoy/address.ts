import { SocketAddress_Protocol, type Address } from '@envoyproxy/protos/envoy/config/core/v3/address.ts'

export const socketAddress = (address: string, port: number): Address => ({
  socketAddress: {
    protocol: SocketAddress_Protocol.TCP,
    address,
    portValue: port,
    resolverName: '',
    ipv4Compat: false,
  },
})

const ipv4 = /^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$/

/** Whether this is an IP address, given that it is an address or a host name. Only IPv6 has colons. */
export const isIpAddress = (host: string): boolean => ipv4.test(host) || host.includes(':')
