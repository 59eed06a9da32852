/** Which methods a path has, to tell a wrong method (405) from a wrong path (404). */
export class AllowedMethods {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = []

  /** `url` is a pattern of the router: `/services/:service`, `/docs/*`. */
  add(url: string, methods: readonly string[]): void {
    const source = url
      .split('/')
      .map(part =>
        part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('/')
    this.#routes.push({ pattern: new RegExp(`^${source}/?$`), methods })
  }

  /** Sorted; empty when no route has this path. */
  of(path: string): string[] {
    const found = this.#routes.filter(({ pattern }) => pattern.test(path))
    return [...new Set(found.flatMap(({ methods }) => methods))].sort()
  }
}
