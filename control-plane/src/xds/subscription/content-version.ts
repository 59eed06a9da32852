import { hash } from 'node:crypto'
import type { XdsResource } from '../port.ts'

/**
 * One version for a set of named versions: the same for the same content on every replica, in whatever order and
 * by whatever steps it came about (X11). A sum of hashes, so that a change costs what it changes.
 */
export class ContentVersion {
  readonly #versions = new Map<string, string>()
  #sum = 0n

  static of(resources: Iterable<XdsResource>): string {
    const content = new ContentVersion()
    for (const { name, version } of resources) content.set(name, version)
    return content.text
  }

  set(name: string, version: string): void {
    const known = this.#versions.get(name)
    if (known === version) return
    if (known !== undefined) this.#sum -= hashOf(name, known)
    this.#versions.set(name, version)
    this.#sum += hashOf(name, version)
  }

  get text(): string {
    return BigInt.asUintN(64, this.#sum).toString(16).padStart(16, '0')
  }
}

const hashOf = (name: string, version: string): bigint =>
  hash('sha256', `${name}\0${version}`, 'buffer').readBigUInt64BE(0)
