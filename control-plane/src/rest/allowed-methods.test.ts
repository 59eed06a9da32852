import { describe, expect, it } from 'vitest'
import { AllowedMethods } from './allowed-methods.ts'

describe('AllowedMethods', () => {
  const methods = new AllowedMethods()
  methods.add('/services/:service', ['GET', 'HEAD'])
  methods.add('/services/:service', ['PUT'])
  methods.add('/docs/*', ['GET'])
  methods.add('/openapi.json', ['GET'])

  it('knows the methods of a path, whatever its parameters', () => {
    expect(methods.of('/services/payments')).toEqual(['GET', 'HEAD', 'PUT'])
    expect(methods.of('/docs/static/page.css')).toEqual(['GET'])
  })

  it('knows no others', () => {
    expect(methods.of('/services')).toEqual([])
    expect(methods.of('/services/payments/instances')).toEqual([])
    expect(methods.of('/openapixjson')).toEqual([])
  })
})
