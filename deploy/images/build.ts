// Builds container images without pulling anything:
//   node deploy/images/build.ts [--engine podman|docker] [--repository localhost/waymark] [--tag 0.1.0] [image ...]
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { UserError } from '../local/user-error.ts'
import { buildImage } from './build-image.ts'
import { findEngine } from './engine.ts'
import { imageNames, repository } from './image-roots.ts'

const build = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { engine: { type: 'string' }, repository: { type: 'string' }, tag: { type: 'string' } },
  })
  const unknown = positionals.filter(name => !imageNames.some(known => known === name))
  if (unknown.length > 0) {
    throw new UserError(`There is no image ${unknown.join(', ')}.`, [
      `The images are ${imageNames.join(', ')}.`,
    ])
  }
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    version: string
  }
  const engine = await findEngine(values.engine)
  for (const name of imageNames) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    const reference = `${values.repository ?? 'localhost/waymark'}-${name}:${values.tag ?? version}`
    const onProgress = (text: string): void => {
      console.log(text)
    }
    const { bytes, assembleMs, buildMs } = await buildImage({ engine, name, reference, onProgress })
    const megabytes = Math.round(bytes / 1e6)
    console.log(`${reference}: ${megabytes} MB, assembled in ${assembleMs} ms, built in ${buildMs} ms`)
  }
}

try {
  await build()
} catch (error) {
  if (!(error instanceof UserError)) throw error
  console.error([error.message, ...error.advice.map(line => `  ${line}`)].join('\n'))
  process.exitCode = 1
}
