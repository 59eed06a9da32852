import { request } from 'node:http'

/** Posts lines of JSON and resolves with the text of the answer, which may begin before all are sent. */
export const postLines = (url: string, lines: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } },
      answer => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          if (answer.statusCode === 200) resolve(text)
          else reject(new Error(`lines were answered with ${answer.statusCode ?? 0}: ${text.slice(0, 500)}`))
        })
      },
    )
    sent.on('error', reject)
    sent.end(`${lines.join('\n')}\n`)
  })
