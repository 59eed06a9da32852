import { parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { FastifySchemaCompiler } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { InstanceOutcome, InstanceRequest, Registry, WriteContext } from '../../registry/registry.ts'
import type { Committed } from '../../store/write.ts'
import { toInstanceSpec } from '../instance-spec.ts'
import { toProblem, toWaymarkError } from '../problem.ts'
import { DeregisterLine, RegisterLine, type BatchResultView } from '../schemas/batch.ts'
import { findUnstorable } from '../validation.ts'
import type { NdjsonLine } from './ndjson-lines.ts'

/** Returns what fits its schema, throws what does not. */
type Check = (value: unknown) => unknown

const drainMax = 24 * 3_600_000

const wrong = (detail: string, field: { pointer: string; detail: string; accepted: string }): WaymarkError =>
  new WaymarkError('invalid_request', detail, { fields: [field] })

interface LineWriterOptions {
  readonly registry: Pick<Registry, 'each'>
  /** Of validation.ts. */
  readonly compile: FastifySchemaCompiler<object>
}

/** Does what the lines of a batch say, each on its own: a line that is wrong, or refused, leaves the others alone. */
export class LineWriter {
  readonly #registry: Pick<Registry, 'each'>
  readonly #checkRegister: Check
  readonly #checkDeregister: Check

  constructor({ registry, compile }: LineWriterOptions) {
    this.#registry = registry
    this.#checkRegister = checkOf(RegisterLine, compile)
    this.#checkDeregister = checkOf(DeregisterLine, compile)
  }

  /** Results in the order of the lines. Never rejects. `request` names the batch in problems. */
  async write(
    lines: readonly NdjsonLine[],
    context: WriteContext,
    request: string,
  ): Promise<BatchResultView[]> {
    const read = lines.map((line): InstanceRequest | BatchResultView => {
      try {
        return this.#read(line)
      } catch (thrown) {
        return problemResult(line.number, thrown, request)
      }
    })
    const outcomes = await this.#registry.each(read.filter(isRequest), context)
    let next = 0
    return lines.map(({ number }, index) => {
      const result = read[index]
      if (result !== undefined && !isRequest(result)) return result
      const outcome = outcomes[next++]
      return outcome !== undefined && 'committed' in outcome
        ? done(number, outcome.committed)
        : problemResult(number, outcome?.error, request)
    })
  }

  #read({ text }: NdjsonLine): InstanceRequest {
    if (text === null) throw new WaymarkError('body_too_large', 'the line is longer than a line may be')
    const value = parseLine(text)
    const unstorable = findUnstorable(value)
    if (unstorable !== undefined) {
      throw wrong(`${unstorable || 'the line'} cannot be stored`, {
        pointer: unstorable,
        detail: 'holds a NUL character or half a surrogate pair, or is nested too deep',
        accepted: 'Unicode text without NUL, nested at most 32 levels',
      })
    }
    return isDeregister(value)
      ? deregistration(this.#checkDeregister(value) as DeregisterLine)
      : registration(this.#checkRegister(value) as RegisterLine)
  }
}

const isRequest = (read: InstanceRequest | BatchResultView): read is InstanceRequest => !('line' in read)

const registration = (line: RegisterLine): InstanceRequest => {
  const { service, id } = line
  const parsed = toInstanceSpec(line)
  if (!parsed.ok) {
    throw new WaymarkError('invalid_request', 'the registration says something impossible', {
      fields: parsed.errors,
    })
  }
  return { register: { service, id, spec: parsed.spec } }
}

const deregistration = ({ service, id, incarnation, drain }: DeregisterLine): InstanceRequest => {
  const drainMs = drain === undefined ? 0 : parseDuration(drain)
  if (drainMs === undefined || drainMs > drainMax) {
    const accepted = 'a duration from 0s to 24h'
    throw wrong('/drain is out of range', { pointer: '/drain', detail: 'is out of range', accepted })
  }
  return {
    deregister: { service, id, incarnation: incarnation ?? null, drainMs: drainMs === 0 ? null : drainMs },
  }
}

const done = (line: number, { result, revision, changed }: Committed<InstanceOutcome>): BatchResultView => {
  const { instance, incarnation } = result
  if (instance === null) return { line, status: 204, changed, revision }
  const status = result.created ? 201 : 200
  return incarnation === null
    ? { line, status, changed, revision: instance.revision }
    : { line, status, changed, revision: instance.revision, incarnation }
}

/** The result of a line that was not done. */
export const problemResult = (line: number, thrown: unknown, request: string): BatchResultView => {
  const problem = toProblem(toWaymarkError(thrown), request)
  return { line, status: problem.status, problem }
}

const parseLine = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new WaymarkError('malformed_json', 'the line cannot be parsed as JSON', { cause })
  }
}

const isDeregister = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'op' in value && value.op === 'deregister'

const checkOf = (schema: object, compile: FastifySchemaCompiler<object>): Check => {
  const validate = compile({ schema, httpPart: 'body', method: 'POST', url: '' })
  return value => {
    // What the compiler in validation.ts returns.
    const result = validate(value) as { readonly value: unknown } | { readonly error: Error }
    if ('error' in result) throw result.error
    return result.value
  }
}
