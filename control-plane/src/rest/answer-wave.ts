import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'

/** Fewer answers than this are sent in one turn, or nearly so. */
const worthIt = 64

/**
 * Answers that go to many clients at once. A client that has its answer asks again at once, and reading a request
 * takes longer than sending an answer: the last would wait for the next requests of the first. So connections that
 * have been served are not read until all have been.
 */
export class AnswerWave {
  readonly #worthIt: boolean
  readonly #served: Socket[] = []
  #over = false

  constructor(size: number) {
    this.#worthIt = size >= worthIt
  }

  /** Call it before the answer is sent. */
  serve(response: ServerResponse): void {
    const { socket } = response
    // Null behind an earlier request of the connection; another kind where there is no network.
    if (!this.#worthIt || !(socket instanceof Socket)) return
    // Before that, Node goes on reading by itself when the request is done with.
    response.once('close', () => {
      if (this.#over) return
      socket.pause()
      this.#served.push(socket)
    })
  }

  end(): void {
    this.#over = true
    for (const socket of this.#served) socket.resume()
  }
}
