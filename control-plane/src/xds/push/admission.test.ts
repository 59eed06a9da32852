import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Admission } from './admission.ts'

function herd() {
  const turns: (() => void)[] = []
  const waited: number[] = []
  const waits = { record: (seconds: number) => waited.push(seconds) }
  const figures = { waiting: 0, delayed: 0, admitted: 0, waits }
  const time = { now: 0 }
  const clock = { soon: (run: () => void) => turns.push(run), monotonic: () => time.now }
  const admission = new Admission({ clock, figures })
  const admitted: string[] = []
  return {
    figures,
    waited,
    time,
    admitted,
    turns,
    enter: (id: string, returning = false) => admission.enter({ returning, admit: () => admitted.push(id) }),
    /** Runs what was put off by one turn of the event loop; false: nothing. */
    turn: (): boolean => {
      const due = turns.splice(0)
      for (const run of due) run()
      return due.length > 0
    },
  }
}

const ids = (prefix: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${prefix}${from + index}`)

test('a lone newcomer does not wait, nor does the next one a turn later', () => {
  const { enter, admitted, turn, figures, waited } = herd()
  for (let index = 0; index < 40; index += 1) {
    enter(`n${index}`)
    expect(admitted).toHaveLength(index + 1)
    turn()
  }
  expect(figures).toMatchObject({ waiting: 0, delayed: 0, admitted: 40 })
  expect(waited).toEqual([])
})

test('a herd is let in by a few a turn, in order, and is counted', () => {
  const { enter, admitted, turn, figures, time, waited } = herd()
  for (const id of ids('n', 0, 40)) enter(id)
  expect(admitted).toEqual(ids('n', 0, 16))
  expect(figures).toMatchObject({ waiting: 24, delayed: 24, admitted: 16 })
  time.now = 5
  turn()
  expect(admitted).toEqual(ids('n', 0, 32))
  // Somebody waits: who comes now waits behind, although there might be a place.
  enter('late')
  time.now = 9
  turn()
  expect(admitted).toEqual([...ids('n', 0, 40), 'late'])
  expect(figures).toMatchObject({ waiting: 0, delayed: 25, admitted: 41 })
  expect(Math.max(...waited)).toBe(0.009)
  turn()
  expect(turn()).toBe(false)
})

test('those that return with what they had go first, but not without end', () => {
  const { enter, admitted, turn } = herd()
  for (const id of ids('first', 0, 16)) enter(id)
  for (const id of ids('new', 0, 20)) enter(id)
  for (const id of ids('back', 0, 100)) enter(id, true)
  turn()
  expect(admitted.slice(16, 24)).toEqual([
    'back0',
    'back1',
    'back2',
    'new0',
    'back3',
    'back4',
    'back5',
    'new1',
  ])
})

test('who has left the queue is not admitted', () => {
  const { enter, admitted, turn, figures } = herd()
  const leave = ids('n', 0, 20).map(id => enter(id))
  leave[0]?.()
  leave[17]?.()
  leave[17]?.()
  expect(figures.waiting).toBe(3)
  turn()
  expect(admitted).toEqual([...ids('n', 0, 17), 'n18', 'n19'])
})

test('everybody who stays is admitted once, and never more than a few in one turn', () => {
  const step = fc.oneof(
    fc.record({ enter: fc.integer({ min: 1, max: 40 }), returning: fc.boolean() }),
    fc.constant('turn' as const),
    fc.constant('leave' as const),
  )
  fc.assert(
    fc.property(fc.array(step), steps => {
      const { enter, admitted, turn, figures } = herd()
      const stay = new Set<string>()
      const leavers: [string, (() => void) | undefined][] = []
      let next = 0
      let before = 0
      for (const action of steps) {
        if (action === 'turn') {
          before = admitted.length
          turn()
        } else if (action === 'leave') {
          const [id, leave] = leavers.pop() ?? ['', () => undefined]
          leave?.()
          if (!admitted.includes(id)) stay.delete(id)
        } else {
          for (let count = 0; count < action.enter; count += 1) {
            const id = `n${next}`
            next += 1
            stay.add(id)
            leavers.push([id, enter(id, action.returning)])
          }
        }
        expect(admitted.length - before).toBeLessThanOrEqual(32)
        expect(figures.waiting).toBe(stay.size - admitted.length)
      }
      while (turn());
      expect(new Set(admitted)).toEqual(stay)
      expect(admitted).toHaveLength(stay.size)
    }),
  )
})
