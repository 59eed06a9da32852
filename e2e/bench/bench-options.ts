/** How benchmarks are run, from the command line. */
export interface BenchOptions {
  /** A form that ends within about 20 seconds, to see that it works; its figures mean little. */
  readonly small: boolean
  /** Writes a CPU profile of the server and prints its top functions, where the benchmark supports it. */
  readonly profile: boolean
}

/** What is going on, on stderr, so that the tables stay clean. */
export const progress = (text: string): void => {
  process.stderr.write(`  ${text}\n`)
}
