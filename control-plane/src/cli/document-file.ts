import { isNode, LineCounter, parseAllDocuments, type Document } from 'yaml'
import { CliError, exitCodes } from './exit-code.ts'

/** One document of a file. */
export interface FileDocument {
  readonly kind: string
  readonly name: string
  readonly spec: unknown
  /** `policies.yaml:12`: where a JSON pointer into the document (or what is nearest to it) stands. */
  locate(pointer: string): string
}

const usage = (message: string): CliError => new CliError(exitCodes.usage, message)

const lineOf = (document: Document.Parsed, lines: LineCounter, pointer: string): number => {
  const path = pointer
    .split('/')
    .slice(1)
    .map(token => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  for (let length = path.length; length >= 0; length -= 1) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range !== null && node.range !== undefined)
      return lines.linePos(node.range[0]).line
  }
  return 1
}

const valueOf = (document: Document.Parsed, where: () => string): unknown => {
  try {
    // Aliases could make a small file enormous.
    return document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw usage(`${where()}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The documents of a YAML (or JSON) file, several of them separated by `---`. Throws CliError, naming lines. */
export const parseDocumentFile = (file: string, text: string): FileDocument[] => {
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })
  if (!Array.isArray(parsed)) return []
  const found: FileDocument[] = []
  for (const document of parsed) {
    const [error] = document.errors
    if (error !== undefined) throw usage(`${file}:${lines.linePos(error.pos[0]).line}: ${error.message}`)
    const value = valueOf(document, () => `${file}:${lineOf(document, lines, '')}`)
    if (value === null) continue
    const locate = (pointer: string) => `${file}:${lineOf(document, lines, pointer)}`
    if (typeof value !== 'object' || Array.isArray(value)) {
      throw usage(`${locate('')}: is no document; accepted: an object with kind, name and spec`)
    }
    const { kind, name, spec, ...others } = value as Record<string, unknown>
    const [other] = Object.keys(others)
    if (other !== undefined)
      throw usage(`${locate(`/${other}`)}: there is no field ${other}; accepted: kind, name, spec`)
    if (typeof kind !== 'string' || typeof name !== 'string') {
      throw usage(`${locate('')}: a document needs a kind and a name`)
    }
    if (spec === undefined) throw usage(`${locate('')}: ${kind} ${name} has no spec`)
    found.push({ kind, name, spec, locate })
  }
  return found
}
