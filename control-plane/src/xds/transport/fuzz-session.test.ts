import { test } from 'vitest'
import { fuzz } from '../testing/fuzz-check.ts'
import { fuzzSession } from '../testing/fuzz-session.ts'

test('whatever bytes a stream is sent, it ends in order or goes on, and others have what they should', async () => {
  await fuzz(fuzzSession(), { ms: 20_000 })
}, 120_000)
