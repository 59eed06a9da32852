import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

const clock = 'Time comes from the injected Clock (control-plane/src/runtime/clock.ts).'
const chance = 'Randomness comes from the caller (control-plane/src/runtime).'

export default defineConfig(
  {
    ignores: [
      '**/.tsbuild/**',
      '.cache/**',
      '.waymark/**',
      'sidecar-config/protos/gen/**',
      '**/*.mjs',
      '**/*.cjs',
      '*.js',
    ],
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['vitest.config.ts'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-invalid-void-type': ['error', { allowInGenericTypeArguments: true }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-exports': [
        'error',
        { restrictDefaultExports: { direct: true, named: true, defaultFrom: true } },
      ],
    },
  },
  {
    files: ['control-plane/src/**/*.ts', 'sidecar-config/src/**/*.ts'],
    ignores: ['control-plane/src/runtime/**', '**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'setTimeout', message: clock },
        { name: 'setInterval', message: clock },
        { name: 'setImmediate', message: clock },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: clock },
        { object: 'performance', property: 'now', message: clock },
        { object: 'Math', property: 'random', message: chance },
      ],
    },
  },
  {
    files: ['control-plane/src/**/*.ts', 'sidecar-config/src/**/*.ts', 'deploy/**/*.ts', 'e2e/**/*.ts'],
    ignores: ['control-plane/src/main.ts', 'deploy/local/up.ts', 'deploy/samples/**', 'e2e/bench/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
          message: 'Only an entry point ends the process.',
        },
      ],
    },
  },
  {
    files: ['deploy/**/*.ts', 'e2e/**/*.ts', 'control-plane/bin/**/*.ts', 'control-plane/src/cli/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['vitest.config.ts'],
    rules: { 'no-restricted-exports': 'off' },
  },
)
