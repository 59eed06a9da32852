const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b)

/** The value below which `share` (0 to 1) of all lie: nearest rank. NaN for none. */
export const percentile = (values: readonly number[], share: number): number =>
  sorted(values)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN

export const median = (values: readonly number[]): number => percentile(values, 0.5)

/** `1.23`, `12.3`, `1,234`. */
export const figure = (value: number): string =>
  value.toLocaleString('en-US', {
    maximumFractionDigits: Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2,
  })

export const milliseconds = (value: number): string => `${figure(value)} ms`
