/** Milliseconds of the machine's monotonic clock: the same for every process on it (CLOCK_MONOTONIC on Linux). */
export const machineTime = (): number => Number(process.hrtime.bigint()) / 1e6
