import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import { UserError } from './user-error.ts'

/** Where `npm run up` shows what it does: steps with progress, notes, and a picture that is redrawn in place. */
export interface Screen {
  /** True where the picture of `draw` is seen; else whoever has news writes lines. */
  readonly live: boolean
  /** Shows `title` while `run` runs, then what it came to, and whether it `passed`. Steps may run at the same time. */
  step<T>(
    title: string,
    run: (progress: (text: string) => void) => Promise<T>,
    result: (value: T) => string,
    passed?: (value: T) => boolean,
  ): Promise<T>
  /** A line that stays. */
  line(text: string): void
  /** Something a person should know. */
  note(text: string): void
  /** Replaces the picture below all lines. */
  draw(lines: readonly string[]): void
  fail(error: unknown): void
  /** Removes the picture. */
  close(): void
}

type Stream = NodeJS.WriteStream

const seconds = (since: number): string => `${((performance.now() - since) / 1_000).toFixed(1)} s`

/** What to show of an error: a `UserError` is for people, anything else is a defect and shown with its stack. */
const describeError = (error: unknown): string[] => {
  if (error instanceof UserError) return [error.message, ...error.advice.map(advice => `  ${advice}`)]
  return [error instanceof Error ? (error.stack ?? error.message) : 'An error without a message']
}

interface ActiveStep {
  readonly title: string
  readonly since: number
  progress: string
}

abstract class BaseScreen implements Screen {
  abstract readonly live: boolean
  protected readonly stream: Stream
  protected readonly active = new Set<ActiveStep>()

  constructor(stream: Stream) {
    this.stream = stream
  }

  async step<T>(
    title: string,
    run: (progress: (text: string) => void) => Promise<T>,
    result: (value: T) => string,
    passed: (value: T) => boolean = () => true,
  ): Promise<T> {
    const step: ActiveStep = { title, since: performance.now(), progress: '' }
    this.active.add(step)
    this.changed()
    try {
      const value = await run(text => {
        step.progress = text
        this.progressed(step)
      })
      this.active.delete(step)
      const mark = passed(value) ? this.paint('green', '✓') : this.paint('red', '✗')
      this.line(`${mark} ${result(value)} ${this.paint('dim', seconds(step.since))}`)
      return value
    } catch (error) {
      this.active.delete(step)
      this.changed()
      throw error
    }
  }

  note(text: string): void {
    this.line(`${this.paint('yellow', '!')} ${text}`)
  }

  fail(error: unknown): void {
    const [first = '', ...rest] = describeError(error)
    this.line(`${this.paint('red', '✗')} ${first}`)
    for (const text of rest) this.line(`  ${text}`)
  }

  protected paint(style: 'green' | 'yellow' | 'red' | 'dim', text: string): string {
    return styleText(style, text, { stream: this.stream })
  }

  abstract line(text: string): void
  abstract draw(lines: readonly string[]): void
  abstract close(): void
  protected abstract changed(): void
  protected abstract progressed(step: ActiveStep): void
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

class TerminalScreen extends BaseScreen {
  readonly live = true
  readonly #update: ReturnType<typeof createLogUpdate>
  #picture: readonly string[] = []
  #frame = 0
  #timer: NodeJS.Timeout | null = null

  constructor(stream: Stream) {
    super(stream)
    this.#update = createLogUpdate(stream)
  }

  line(text: string): void {
    this.#update.clear()
    this.stream.write(`${text}\n`)
    this.changed()
  }

  draw(lines: readonly string[]): void {
    this.#picture = lines
    this.changed()
  }

  close(): void {
    this.#picture = []
    this.active.clear()
    this.changed()
    this.#update.clear()
    this.#update.done()
  }

  protected changed(): void {
    if (this.active.size > 0)
      this.#timer ??= setInterval(() => {
        this.#spin()
      }, 100)
    else if (this.#timer !== null) {
      clearInterval(this.#timer)
      this.#timer = null
    }
    const spinner = this.paint('yellow', frames[this.#frame % frames.length] ?? '')
    const steps = [...this.active].map(
      ({ title, since, progress }) =>
        `${spinner} ${title}${progress === '' ? '' : ` · ${progress}`} ${this.paint('dim', seconds(since))}`,
    )
    this.#update([...steps, ...this.#picture].join('\n'))
  }

  protected progressed(): void {
    this.changed()
  }

  #spin(): void {
    this.#frame += 1
    this.changed()
  }
}

/** At most one line of progress per step in this time. */
const plainProgressMs = 3_000

class PlainScreen extends BaseScreen {
  readonly live = false
  readonly #shown = new WeakMap<ActiveStep, number>()

  line(text: string): void {
    this.stream.write(`${text}\n`)
  }

  draw(): void {
    // There is no place that could be redrawn.
  }

  close(): void {
    // Nothing is drawn.
  }

  protected changed(): void {
    // A step is shown when it ends; what takes long shows its progress.
  }

  protected progressed(step: ActiveStep): void {
    const now = performance.now()
    if (now - (this.#shown.get(step) ?? -Infinity) < plainProgressMs) return
    this.#shown.set(step, now)
    this.line(`  ${step.title}: ${step.progress}`)
  }
}

export const createScreen = (stream: Stream = process.stdout): Screen =>
  stream.isTTY && process.env['TERM'] !== 'dumb' ? new TerminalScreen(stream) : new PlainScreen(stream)
