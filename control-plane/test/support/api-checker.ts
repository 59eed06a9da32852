import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { errorCatalogue, type ErrorCode } from '../../src/domain/errors.ts'

interface MediaTypes {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>
}

/** As much of an OpenAPI 3.1 description as the check needs. */
export interface ApiDescription {
  readonly paths?: Readonly<
    Record<string, Readonly<Record<string, { readonly responses?: Readonly<Record<string, MediaTypes>> }>>>
  >
  readonly components?: { readonly schemas?: Readonly<Record<string, object>> }
}

export interface Answer {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: unknown
}

/** Anything of a problem document's own statuses may come from outside the routes. */
const beforeRoutes: readonly ErrorCode[] = [
  'malformed_http',
  'host_not_allowed',
  'unsupported_media_type',
  'body_too_large',
  'malformed_json',
  'route_not_found',
  'method_not_allowed',
  'internal',
]

/** Says what of an answer is not as the description (and the catalogue of errors) promises; nothing when all is. */
export class ApiChecker {
  readonly #description: ApiDescription
  readonly #ajv: Ajv2020

  constructor(description: ApiDescription) {
    this.#description = description
    this.#ajv = new Ajv2020({ strict: false, allErrors: true })
    addFormats.default(this.#ajv)
    this.#ajv.addSchema({ $id: 'api', components: description.components })
  }

  check(answer: Answer): string[] {
    const { status, headers, body } = answer
    const found: string[] = []
    if (!/^[0-9]+$/.test(String(headers['x-waymark-revision']))) found.push('X-Waymark-Revision is missing')
    if (status >= 400) return [...found, ...this.#checkProblem(answer)]
    const response = this.#responses(answer)?.[status]
    if (response === undefined) return [...found, `status ${status} is not described`]
    const schema = response.content?.['application/json']?.schema
    if (schema === undefined) return body === '' ? found : [...found, 'a body where none is described']
    if (body === '') return [...found, 'no body where one is described']
    return [...found, ...this.#mismatch(schema, body)]
  }

  #checkProblem(answer: Answer): string[] {
    const { status, headers, body } = answer
    const found = this.#mismatch({ $ref: '#/components/schemas/Problem' }, body)
    if (found.length > 0) return found
    const { code, status: told } = body as { code: ErrorCode; status: number }
    if (status !== errorCatalogue[code].status || told !== status) found.push(`${code} has another status`)
    if (!String(headers['content-type']).startsWith('application/problem+json')) found.push('content type')
    if (status === 503 && headers['retry-after'] === undefined) found.push('Retry-After is missing')
    const responses = this.#responses(answer)
    if (!beforeRoutes.includes(code) && responses?.[status] === undefined)
      found.push(`${code} is not described`)
    return found
  }

  #responses({ method, url }: Answer): Readonly<Record<string, MediaTypes>> | undefined {
    const parts = url.split('?', 1)[0]?.split('/') ?? []
    const fits = (pattern: string): boolean => {
      const wanted = pattern.split('/')
      return (
        wanted.length === parts.length && wanted.every((part, n) => part.startsWith('{') || part === parts[n])
      )
    }
    // OpenAPI matches the concrete path before the templated one.
    const templates = Object.keys(this.#description.paths ?? {}).filter(fits)
    const [path] = templates.toSorted((a, b) => variables(a) - variables(b))
    return this.#description.paths?.[path ?? '']?.[method.toLowerCase()]?.responses
  }

  #mismatch(schema: object, body: unknown): string[] {
    const text = JSON.stringify(schema).replaceAll('"#/components', '"api#/components')
    const validate = this.#ajv.compile(JSON.parse(text) as object)
    if (validate(body)) return []
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`)
  }
}

const variables = (template: string): number => template.split('{').length
