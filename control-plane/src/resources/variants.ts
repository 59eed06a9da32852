import type { XdsResource } from '../xds/port.ts'
import type { CallerVariant } from './policies.ts'

interface Form {
  resource: XdsResource
  stale: boolean
}

/**
 * One resource of a service in the form that each variant of callers gets. A form is built when somebody asks,
 * at most once per version: changes that come while no sidecar can take them cost nothing but a mark.
 */
export class Variants {
  readonly #forms = new Map<CallerVariant, Form>()

  /** `build` gets the form before, which it returns if nothing has changed. */
  get(variant: CallerVariant, build: (before: XdsResource | undefined) => XdsResource): XdsResource {
    const form = this.#forms.get(variant)
    if (form === undefined) {
      const resource = build(undefined)
      this.#forms.set(variant, { resource, stale: false })
      return resource
    }
    if (form.stale) {
      form.resource = build(form.resource)
      form.stale = false
    }
    return form.resource
  }

  /** What these forms are made of has changed; null: all forms. Those that nobody gets any more are forgotten. */
  touch(variant: CallerVariant | null, exists: (variant: CallerVariant) => boolean): void {
    for (const each of variant === null ? [...this.#forms.keys()] : [variant]) {
      const form = this.#forms.get(each)
      if (form === undefined) continue
      if (exists(each)) form.stale = true
      else this.#forms.delete(each)
    }
  }
}
