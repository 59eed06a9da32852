import type { HistogramReading } from './xds-observed.ts'

type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly value: number
  readonly labels: Labels
}

export interface HistogramSample {
  readonly value: HistogramReading
  readonly labels: Labels
}

interface Described {
  /** Prometheus's name with its unit, but without the `_total` that a counter gets when it is written out. */
  readonly name: string
  /** UCUM, as OpenTelemetry asks: `s`, `By`, `{stream}`. */
  readonly unit: string
  readonly help: string
}

interface NumberInstrument<Part> extends Described {
  readonly kind: 'counter' | 'gauge'
  readonly read: (part: Part) => number | readonly Sample[]
}

interface HistogramInstrument<Part> extends Described {
  readonly kind: 'histogram'
  readonly read: (part: Part) => readonly HistogramSample[]
}

/** One series or, with labels, one family of series, read from what a part tells. */
export type Instrument<Part> = NumberInstrument<Part> | HistogramInstrument<Part>

export const counter = <Part>(
  name: string,
  unit: string,
  help: string,
  read: NumberInstrument<Part>['read'],
): Instrument<Part> => ({ name, kind: 'counter', unit, help, read })

export const gauge = <Part>(
  name: string,
  unit: string,
  help: string,
  read: NumberInstrument<Part>['read'],
): Instrument<Part> => ({ name, kind: 'gauge', unit, help, read })

/** In seconds. */
export const durations = <Part>(
  name: string,
  help: string,
  read: HistogramInstrument<Part>['read'],
): Instrument<Part> => ({ name, kind: 'histogram', unit: 's', help, read })
