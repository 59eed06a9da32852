import { isDeepStrictEqual } from 'node:util'
import type { CheckSpec } from '@waymark/sidecar-config/model/check.ts'
import { serviceChecksOf } from '@waymark/sidecar-config/model/service-checks.ts'
import type { Document } from '../../domain/document.ts'
import type { Evidence, EvidenceSource } from '../../domain/evidence.ts'
import type { Instance } from '../../domain/instance.ts'
import type { MeshView } from '../mesh-view.ts'
import type { ProbeTarget } from './probe-result.ts'

/** One check of one instance. */
export interface CheckSubject {
  readonly service: string
  readonly id: string
  /** Tells an instance from an earlier one under the same id. */
  readonly registeredAt: string
  readonly source: EvidenceSource
  readonly check: CheckSpec
  readonly target: ProbeTarget
}

const noChecks: readonly CheckSpec[] = []

const isCheckSource = (source: EvidenceSource): boolean => /^(?:service-)?check:/.test(source)

/** Which checks an instance is to be given: those of its registration, and those of its service's document. */
export class AskedChecks {
  readonly #mesh: Pick<MeshView, 'service'>
  /** The checks of a document, read once: each of its instances refers to the same objects. */
  readonly #read = new WeakMap<Document, readonly CheckSpec[]>()

  constructor(mesh: Pick<MeshView, 'service'>) {
    this.#mesh = mesh
  }

  /** Whether it is to be given any check, or has evidence of one. */
  concerns({ service, spec, evidence }: Instance): boolean {
    if (spec.checks.length > 0 || this.#ofService(service).length > 0) return true
    return evidence.some(({ source }) => isCheckSource(source))
  }

  of(instance: Instance): CheckSubject[] {
    const { service, id, registeredAt, spec } = instance
    const subject = (source: EvidenceSource, check: CheckSpec): CheckSubject => ({
      service,
      id,
      registeredAt,
      source,
      check,
      target: { address: spec.address, port: check.port ?? spec.port },
    })
    return [
      ...spec.checks.map((check, index) => subject(`check:${index}`, check)),
      ...this.#ofService(service).map((check, index) => subject(`service-check:${index}`, check)),
    ]
  }

  /** Whether the instance is still to be given this check, in the same words, of the same target. */
  includes(subject: CheckSubject, instance: Instance): boolean {
    return this.of(instance).some(asked => sameSubject(asked, subject))
  }

  /** Evidence of checks that nobody asks for any more: the document of the service has changed. */
  stale(instance: Instance): Evidence[] {
    const checks = instance.evidence.filter(({ source }) => isCheckSource(source))
    if (checks.length === 0) return []
    const asked = new Set(this.of(instance).map(({ source }) => source))
    return checks.filter(({ source }) => !asked.has(source))
  }

  #ofService(name: string): readonly CheckSpec[] {
    const document = this.#mesh.service(name)?.document
    if (document === undefined) return noChecks
    let checks = this.#read.get(document)
    if (checks === undefined) {
      checks = serviceChecksOf(document.spec)
      this.#read.set(document, checks)
    }
    return checks
  }
}

export const sameSubject = (a: CheckSubject, b: CheckSubject): boolean =>
  a.source === b.source && isDeepStrictEqual(a, b)
