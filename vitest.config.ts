import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './e2e/harness/longest-first.ts'

export default defineConfig({
  test: {
    // Most tests wait, for processes of their own or for time to pass: one more than there are processors keeps these busy.
    maxWorkers: Math.min(availableParallelism() + 1, 8),
    // Ends of processes that were started for all tests.
    teardownTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{control-plane,sidecar-config}/src/**/*.test.ts',
            'deploy/**/*.test.ts',
            'e2e/{harness,bench,torture}/**/*.test.ts',
          ],
          globalSetup: ['e2e/harness/begin-run.ts'],
          setupFiles: ['e2e/harness/own-ports.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'pg',
          include: ['control-plane/test/**/*.test.ts'],
          globalSetup: ['e2e/harness/postgres-setup.ts'],
          setupFiles: ['e2e/harness/own-ports.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/tests/**/*.test.ts'],
          globalSetup: ['e2e/harness/global-setup.ts'],
          setupFiles: ['e2e/harness/own-ports.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
