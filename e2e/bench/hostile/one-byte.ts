import { connect } from 'node:net'
import { count, type BadClientKind, type BadCounts } from './bad-client.ts'

const connections = 200

/** Sends one byte of the HTTP/2 preface a second, and reads as slowly. */
export const oneByteASecond: BadClientKind = {
  what: `${connections} x send one byte a second`,
  start: ({ address }) => {
    const counts: BadCounts = {}
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
    const sockets = Array.from({ length: connections }, () => {
      const socket = connect({ ...address, noDelay: true })
      count(counts, 'opened')
      socket.on('error', () => undefined)
      socket.once('close', () => {
        count(counts, 'closed')
      })
      socket.pause()
      return socket
    })
    let sent = 0
    const timer = setInterval(() => {
      const byte = preface.subarray(sent % preface.length, (sent % preface.length) + 1)
      for (const socket of sockets) {
        if (!socket.destroyed) socket.write(byte)
        // One byte, if there is one.
        socket.read(1)
      }
      sent += 1
    }, 1_000)
    return {
      counts,
      stop: () => {
        clearInterval(timer)
        for (const socket of sockets) socket.destroy()
      },
    }
  },
}
