/**
 * The environment of a program that a test starts: nothing of the caller's but what it needs to be found, to start
 * quickly, and to be recognised as part of this test run (see `leftovers.ts`).
 */
export const childEnv = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  TMPDIR: process.env['TMPDIR'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  ...more,
})
