/** A DeltaDiscoveryResponse as far as a simulated sidecar needs it; discovery.proto gives the field numbers. */
export interface DeltaResponse {
  readonly typeUrl: string
  readonly nonce: string
  readonly resources: readonly DeltaResource[]
  readonly removed: readonly string[]
  /** Of all resources, without names and versions. */
  readonly resourceBytes: number
}

export interface DeltaResource {
  readonly name: string
  readonly version: string
  /** The message inside the Any; empty when the resource is only a heartbeat or a miss. */
  readonly body: Buffer
}

const nothing = Buffer.alloc(0)

/** Calls `visit` with each length-delimited field of a protobuf message; other fields are skipped. */
export const eachBytesField = (message: Buffer, visit: (number: number, value: Buffer) => void): void => {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at]
      if (byte === undefined) throw new RangeError('a protobuf message ends within a number')
      at += 1
      value += (byte & 0x7f) * shift
      if (byte < 0x80) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const wire = tag & 7
    if (wire === 0) varint()
    else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else if (wire === 2) {
      const length = varint()
      visit(tag >>> 3, message.subarray(at, at + length))
      at += length
    } else throw new RangeError(`wire type ${wire}`)
  }
}

const readResource = (message: Buffer): DeltaResource => {
  let name = ''
  let version = ''
  let body: Buffer = nothing
  eachBytesField(message, (number, value) => {
    if (number === 1) version = value.toString('latin1')
    else if (number === 3) name = value.toString('utf8')
    else if (number === 2)
      eachBytesField(value, (inner, bytes) => {
        if (inner === 2) body = bytes
      })
  })
  return { name, version, body }
}

/** Throws RangeError when it is cut off. */
export const readDeltaResponse = (message: Buffer): DeltaResponse => {
  let typeUrl = ''
  let nonce = ''
  let resourceBytes = 0
  const resources: DeltaResource[] = []
  const removed: string[] = []
  eachBytesField(message, (number, value) => {
    if (number === 2) {
      const resource = readResource(value)
      resources.push(resource)
      resourceBytes += resource.body.length
    } else if (number === 4) typeUrl = value.toString('latin1')
    else if (number === 5) nonce = value.toString('latin1')
    else if (number === 6) removed.push(value.toString('utf8'))
  })
  return { typeUrl, nonce, resources, removed, resourceBytes }
}
