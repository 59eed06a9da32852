import { RE2JS } from 're2js'
import type { NodeMatcher } from '@envoyproxy/protos/envoy/type/matcher/v3/node.ts'
import type { StringMatcher } from '@envoyproxy/protos/envoy/type/matcher/v3/string.ts'
import { XdsRefusedError } from '../port.ts'

const maxMatchers = 100
const maxPattern = 1_000

/**
 * Which nodes a CSDS request means: those that one of the matchers fits; without matchers, all. Throws
 * XdsRefusedError for a matcher that is not supported: to ignore it would answer another question.
 */
export function nodePredicate(matchers: readonly NodeMatcher[]): (node: string) => boolean {
  if (matchers.length > maxMatchers) throw invalid(`more than ${maxMatchers} node matchers`)
  const predicates = matchers.map(({ nodeId, nodeMetadatas }) => {
    if (nodeMetadatas.length > 0) throw invalid('node_metadatas is not supported: match by node_id')
    return nodeId === undefined ? () => true : textPredicate(nodeId)
  })
  return predicates.length === 0 ? () => true : node => predicates.some(fits => fits(node))
}

function textPredicate(matcher: StringMatcher): (text: string) => boolean {
  const { exact, prefix, suffix, contains, safeRegex, ignoreCase } = matcher
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text)
  if (exact !== undefined) return text => fold(text) === fold(exact)
  if (prefix !== undefined) return text => fold(text).startsWith(fold(prefix))
  if (suffix !== undefined) return text => fold(text).endsWith(fold(suffix))
  if (contains !== undefined) return text => fold(text).includes(fold(contains))
  if (safeRegex !== undefined) return regexPredicate(safeRegex.regex)
  throw invalid('a node_id matcher must be exact, prefix, suffix, contains or safe_regex')
}

/** `safe_regex` fits the whole text, and `ignore_case` does not concern it (string.proto). */
function regexPredicate(regex: string): (text: string) => boolean {
  if (regex.length > maxPattern) throw invalid(`safe_regex is longer than ${maxPattern} characters`)
  try {
    const pattern = RE2JS.compile(regex)
    return text => pattern.matches(text)
  } catch (error) {
    throw invalid(
      `safe_regex is no RE2 expression: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

const invalid = (message: string): XdsRefusedError => new XdsRefusedError(3, message)
