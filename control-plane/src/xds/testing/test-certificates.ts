// The library of certificates finds its parts by metadata of types.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type JsonGeneralNames,
  type X509Certificate,
} from '@peculiar/x509'
import { systemClock } from '../../runtime/clock.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 24 * 60 * 60 * 1_000

/** A certificate with its key, as PEM. */
export interface TestCertificate {
  readonly certificate: string
  readonly key: string
}

export interface LeafOptions {
  /** `spiffe://...` */
  readonly uris?: readonly string[]
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  /** Already over. */
  readonly expired?: boolean
}

const newKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${bytes.replace(/.{1,64}/g, '$&\n')}-----END PRIVATE KEY-----\n`
}

/** An authority of a test, which lives for a day. */
export class TestAuthority {
  readonly #root: X509Certificate
  readonly #keys: webcrypto.CryptoKeyPair

  static async create(name = 'Test root'): Promise<TestAuthority> {
    const keys = await newKeys()
    const root = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(systemClock.now() - dayMs),
      notAfter: new Date(systemClock.now() + dayMs),
      extensions: [
        new BasicConstraintsExtension(true, 1, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    return new TestAuthority(root, keys)
  }

  private constructor(root: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#root = root
    this.#keys = keys
  }

  /** The root's certificate. */
  get pem(): string {
    return `${this.#root.toString('pem')}\n`
  }

  /** A certificate for clients and servers. */
  async issue({ uris = [], dns = [], ips = [], expired = false }: LeafOptions): Promise<TestCertificate> {
    const keys = await newKeys()
    const names: JsonGeneralNames = [
      ...uris.map(value => ({ type: 'url' as const, value })),
      ...dns.map(value => ({ type: 'dns' as const, value })),
      ...ips.map(value => ({ type: 'ip' as const, value })),
    ]
    const leaf = await X509CertificateGenerator.create({
      subject: 'CN=leaf',
      issuer: this.#root.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore: new Date(systemClock.now() - dayMs),
      notAfter: new Date(systemClock.now() + (expired ? -dayMs / 2 : dayMs / 2)),
      extensions: [
        new BasicConstraintsExtension(false),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(names),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    return { certificate: `${leaf.toString('pem')}\n`, key: await pemOf(keys.privateKey) }
  }
}
