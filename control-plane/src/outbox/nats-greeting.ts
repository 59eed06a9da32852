import { createConnection } from 'node:net'
import type { Clock } from '../runtime/clock.ts'

export interface GreetingOptions {
  readonly address: string
  readonly port: number
  readonly ms: number
  readonly clock: Clock
}

const greeting = 'INFO '

/**
 * Resolves when a NATS server says its first word, which is before TLS and any login; rejects when nothing comes in
 * time, or something else. Asked before the library connects: that one never closes a socket whose server is silent.
 */
export const natsGreeting = ({ address, port, ms, clock }: GreetingOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ host: address, port })
    let heard = ''
    const done = (failure: Error | null): void => {
      timer.cancel()
      socket.destroy()
      if (failure === null) resolve()
      else reject(failure)
    }
    const timer = clock.timer(ms, () => {
      done(new Error(`no greeting within ${ms} ms`))
    })
    socket.setEncoding('latin1')
    // Stays: a destroyed socket may still report an error.
    socket.on('error', done)
    socket.on('end', () => {
      done(new Error('the server closed the connection'))
    })
    socket.on('data', (chunk: string) => {
      heard += chunk
      if (heard.startsWith(greeting)) done(null)
      else if (!greeting.startsWith(heard)) done(new Error('what answers is no NATS server'))
    })
  })
