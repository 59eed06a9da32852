import { Type, type Static } from 'typebox'
import { errorCatalogue, type ErrorCode } from '../../domain/errors.ts'
import { closed, define, RevisionNumber } from './common.ts'

const ProblemSchema = define(
  'Problem',
  Type.Object(
    {
      type: Type.String({ description: 'urn:waymark:error:{code}' }),
      title: Type.String(),
      status: Type.Integer(),
      detail: Type.String({ description: 'what happened to whom' }),
      code: Type.Enum(Object.keys(errorCatalogue) as ErrorCode[], { type: 'string' }),
      instance: Type.String({ description: 'names this one answer; the log of the replica has it too' }),
      oldest: Type.Optional({
        ...RevisionNumber,
        description: 'of `compacted`: the oldest revision that can be asked for',
      }),
      errors: Type.Optional(
        Type.Array(
          Type.Object(
            {
              pointer: Type.String({
                description:
                  'a JSON pointer into the body, ?name of the query, {name} of the path, or a header',
              }),
              detail: Type.String(),
              accepted: Type.String({ description: 'what would be accepted' }),
            },
            closed,
          ),
        ),
      ),
    },
    { ...closed, description: 'RFC 9457; docs/reference/errors.md explains each code' },
  ),
)
export type ProblemView = Static<typeof ProblemSchema.schema>
const Problem = ProblemSchema.ref

export const problemType = 'application/problem+json'

/** The responses of a route that are not its success: one entry for each status of `codes`. */
export const problems = (...codes: readonly ErrorCode[]): Record<number, ReturnType<typeof answer>> => {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of codes) {
    const { status } = errorCatalogue[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries([...byStatus].map(([status, all]) => [status, answer(all)]))
}

const answer = (codes: readonly ErrorCode[]) => ({
  description: codes.map(code => `\`${code}\`: ${errorCatalogue[code].title}`).join('. '),
  content: { [problemType]: { schema: Problem } },
})

export const namedProblemSchemas = [ProblemSchema]
