import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            '{control-plane,sidecar-config}/src/**/*.test.ts',
            'deploy/**/*.test.ts',
            'e2e/{harness,bench,torture}/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'pg',
          include: ['control-plane/test/**/*.test.ts'],
          globalSetup: ['e2e/harness/postgres-setup.ts'],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/tests/**/*.test.ts'],
          globalSetup: ['e2e/harness/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
