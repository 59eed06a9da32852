import { connect } from 'node:net'
import type { Address } from './generator/fleet.ts'

/** Whether somebody accepts connections there. */
export const isPortOpen = ({ host, port }: Address): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect({ host, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
