/** Parameters of a query that say when, how much and how, not what. */
const notTheQuestion = new Set(['minRevision', 'index', 'wait', 'at', 'continue', 'limit'])

/** Names a question: the subject with what narrows it, whatever the order of its parameters. */
export const questionName = (subject: string, query: Readonly<Record<string, unknown>>): string => {
  const parts = Object.entries(query).filter(
    ([name, value]) => value !== undefined && !notTheQuestion.has(name),
  )
  if (parts.length === 0) return subject
  return `${subject} ${JSON.stringify(parts.sort(([a], [b]) => (a < b ? -1 : 1)))}`
}
