import type { XdsNode, XdsPeer } from '../port.ts'

/** A node with nothing but an id. */
export const testNode = (id = 'n'): XdsNode => ({
  id,
  cluster: '',
  agent: '',
  metadata: undefined,
  locality: { region: '', zone: '' },
  clientFeatures: [],
})

export const testPeer: XdsPeer = { address: '', spiffeIds: [], bearerToken: undefined }
