import { hash } from 'node:crypto'
import type { XdsResource } from '../port.ts'

/** One version for some resources: the same on every replica, in whatever order they come (X11). */
export function contentVersion(resources: Iterable<XdsResource>): string {
  let sum = 0n
  for (const { name, version } of resources) {
    sum += hash('sha256', `${name}\0${version}`, 'buffer').readBigUInt64BE(0)
  }
  return BigInt.asUintN(64, sum).toString(16).padStart(16, '0')
}
