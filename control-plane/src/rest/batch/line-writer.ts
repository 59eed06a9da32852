import { parseDuration } from '@waymark/sidecar-config/model/duration.ts'
import type { FastifySchemaCompiler } from 'fastify'
import { WaymarkError } from '../../domain/errors.ts'
import type { Registry, WriteContext } from '../../registry/registry.ts'
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
  readonly registry: Pick<Registry, 'register' | 'deregister'>
  /** Of validation.ts. */
  readonly compile: FastifySchemaCompiler<object>
}

/** Does what the lines of a batch say, each on its own: a line that is wrong, or refused, leaves the others alone. */
export class LineWriter {
  readonly #registry: Pick<Registry, 'register' | 'deregister'>
  readonly #checkRegister: Check
  readonly #checkDeregister: Check

  constructor({ registry, compile }: LineWriterOptions) {
    this.#registry = registry
    this.#checkRegister = checkOf(RegisterLine, compile)
    this.#checkDeregister = checkOf(DeregisterLine, compile)
  }

  /** Never rejects. `request` names the batch in problems. */
  async write(line: NdjsonLine, context: WriteContext, request: string): Promise<BatchResultView> {
    try {
      return { line: line.number, ...(await this.#do(line, context)) }
    } catch (thrown) {
      return problemResult(line.number, thrown, request)
    }
  }

  #do({ text }: NdjsonLine, context: WriteContext): Promise<Omit<BatchResultView, 'line'>> {
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
      ? this.#deregister(this.#checkDeregister(value) as DeregisterLine, context)
      : this.#register(this.#checkRegister(value) as RegisterLine, context)
  }

  async #register({ service, id, op: _op, ...body }: RegisterLine, context: WriteContext) {
    const parsed = toInstanceSpec(body)
    if (!parsed.ok) {
      throw new WaymarkError('invalid_request', 'the registration says something impossible', {
        fields: parsed.errors,
      })
    }
    const { result, changed } = await this.#registry.register({ service, id, spec: parsed.spec }, context)
    const { revision, incarnation } = result.instance
    return { status: result.created ? 201 : 200, changed, revision, incarnation }
  }

  async #deregister({ service, id, incarnation, drain }: DeregisterLine, context: WriteContext) {
    const drainMs = drain === undefined ? 0 : parseDuration(drain)
    if (drainMs === undefined || drainMs > drainMax) {
      const accepted = 'a duration from 0s to 24h'
      throw wrong('/drain is out of range', { pointer: '/drain', detail: 'is out of range', accepted })
    }
    const { result, revision, changed } = await this.#registry.deregister(
      { service, id, incarnation: incarnation ?? null, drainMs: drainMs === 0 ? null : drainMs },
      context,
    )
    return { status: result === null ? 204 : 200, changed, revision: result?.revision ?? revision }
  }
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
