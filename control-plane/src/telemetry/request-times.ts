import { Histogram } from '../runtime/histogram.ts'
import type { HistogramSample } from './instrument.ts'

/** A finished HTTP request. */
export interface HttpRequestRecord {
  readonly method: string
  /** The route's pattern, never the path itself: series must stay few. */
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/** Seconds; from an answer out of memory to a request that waits 30 s on purpose. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]

/** Durations of requests by route, method and status. Recording one looks up three times and makes nothing. */
export class RequestTimes {
  readonly #byRoute = new Map<string, Map<string, Map<number, Histogram>>>()

  record({ method, route, status, seconds }: HttpRequestRecord): void {
    const known = this.#byRoute.get(route)?.get(method)?.get(status)
    const histogram = known ?? this.#add(route, method, status)
    histogram.record(seconds)
  }

  *samples(): Generator<HistogramSample> {
    for (const [route, byMethod] of this.#byRoute)
      for (const [method, byStatus] of byMethod)
        for (const [status, value] of byStatus) {
          const labels = {
            'http.request.method': method,
            'http.route': route,
            'http.response.status_code': String(status),
          }
          yield { value, labels }
        }
  }

  #add(route: string, method: string, status: number): Histogram {
    const byMethod = this.#byRoute.get(route) ?? new Map<string, Map<number, Histogram>>()
    const byStatus = byMethod.get(method) ?? new Map<number, Histogram>()
    this.#byRoute.set(route, byMethod.set(method, byStatus))
    const histogram = new Histogram(bounds)
    byStatus.set(status, histogram)
    return histogram
  }
}
