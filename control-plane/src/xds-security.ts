import type { XdsSecurity } from './config.ts'
import { wrongFile } from './wrong-file.ts'
import { callerOf, isProxyless } from './resources/proxyless-node.ts'
import { parseSidecarNode } from './resources/sidecar-node.ts'
import type { Clock } from './runtime/clock.ts'
import type { Component } from './runtime/component.ts'
import type { Logger } from './runtime/logger.ts'
import { ReloadedFiles } from './runtime/reloaded-files.ts'
import type { XdsNode, XdsPeer, XdsSource } from './xds/port.ts'
import { AuthorizedSource, type AccessCounters } from './xds/transport/authorizer-source.ts'
import { TokenBook } from './xds/transport/authorizer-tokens.ts'
import { Authorizer } from './xds/transport/authorizer.ts'
import { openTls, type ReloadedTls } from './xds/transport/tls-material.ts'

export interface SecureXds {
  /** For the xDS server. */
  readonly tls: { readonly tls?: ReloadedTls }
  /** Opens views for those only who may have them. */
  readonly source: XdsSource
  /** For what shows every sidecar. Throws XdsRefusedError. */
  readonly authorizeAll: (peer: XdsPeer) => void
  readonly counters: AccessCounters
  /** Follow the files. */
  readonly components: readonly Component[]
}

/** As the mesh's source reads a node. */
const serviceOf = (node: XdsNode): string | undefined => {
  if (!isProxyless(node)) return parseSidecarNode(node).service
  const caller = callerOf(node)
  return caller === '' ? undefined : caller
}

/**
 * Puts the protection that the configuration asks for around a source. Rejects with ConfigError when a file cannot be read
 * or is no good. Without client certificates and tokens everybody may have everything.
 */
export const secureXds = async (options: {
  readonly security: XdsSecurity
  readonly source: XdsSource
  readonly clock: Clock
  readonly logger: Logger
}): Promise<SecureXds> => {
  const { security, source, clock, logger } = options
  const { tls: files, tokensFile, trustDomain } = security
  const tls =
    files === null
      ? null
      : await openTls({ files, clock, logger }).catch(
          wrongFile(
            'WAYMARK_XDS_TLS_CERT, WAYMARK_XDS_TLS_KEY, WAYMARK_XDS_CLIENT_CA',
            'PEM files that fit together',
          ),
        )
  const given = tls === null ? {} : { tls }
  if (tokensFile === null && trustDomain === null) {
    return {
      tls: given,
      source,
      authorizeAll: () => undefined,
      counters: { unauthenticated: 0, denied: 0, revoked: 0 },
      components: tls === null ? [] : [tls],
    }
  }
  const tokens =
    tokensFile === null
      ? null
      : await ReloadedFiles.open({
          name: 'xDS tokens',
          paths: [tokensFile],
          clock,
          logger,
          parse: ([content]) => TokenBook.parse(content?.toString('utf8') ?? ''),
        }).catch(wrongFile('WAYMARK_XDS_TOKENS_FILE', 'a list of what waymark token new prints'))
  const authorizer = new Authorizer({
    tokens: () => tokens?.value ?? null,
    trustDomain,
    now: () => clock.now(),
  })
  const authorized = new AuthorizedSource({ source, authorizer, serviceOf, clock, logger })
  tokens?.onChange(() => {
    void authorized.recheck()
  })
  return {
    tls: given,
    source: authorized,
    authorizeAll: peer => {
      authorized.authorizeAll(peer)
    },
    counters: authorized.counters,
    components: [authorized, ...(tls === null ? [] : [tls]), ...(tokens === null ? [] : [tokens])],
  }
}
