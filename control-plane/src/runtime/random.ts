/** 0 to 1, exclusive of 1. For jitter; never for secrets. */
export const systemRandom = (): number => Math.random()
