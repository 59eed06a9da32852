import { describe, expect, it } from 'vitest'
import { parseOtlpEndpoint } from './otlp.ts'

describe('parseOtlpEndpoint', () => {
  it.each([
    ['http://127.0.0.1:4317', 'grpc', '127.0.0.1', 4317, '/v1/traces'],
    ['http://collector', 'grpc', 'collector', 4317, '/v1/traces'],
    ['http://collector/', 'http/protobuf', 'collector', 4318, '/v1/traces'],
    ['http://collector:80/otlp/', 'http/protobuf', 'collector', 4318, '/otlp/v1/traces'],
    ['http://[::1]:9000', 'grpc', '::1', 9000, '/v1/traces'],
  ])('reads %s by %s', (endpoint, protocol, host, port, path) => {
    expect(parseOtlpEndpoint({ endpoint, protocol })).toEqual({ protocol, host, port, path })
  })

  it.each([
    ['https://collector:4317', 'grpc', 'accepted: an http:// URL'],
    ['collector:4317', 'grpc', 'accepted: an http:// URL'],
    ['', 'grpc', 'accepted: an http:// URL'],
    ['http://collector:4317', 'http/json', 'accepted: grpc, http/protobuf'],
  ])('refuses %s by %s', (endpoint, protocol, message) => {
    expect(() => parseOtlpEndpoint({ endpoint, protocol })).toThrow(message)
  })
})
