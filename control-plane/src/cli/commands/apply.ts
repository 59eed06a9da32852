import { Command } from 'commander'
import type { DocumentView } from '../../rest/schemas/document.ts'
import type { RevisionSidecarsView } from '../../rest/schemas/revision-sidecars.ts'
import { ApiRefusedError, type ApiClient } from '../api-client.ts'
import { collect, type Run } from '../command-context.ts'
import { parseDocumentFile, type FileDocument } from '../document-file.ts'
import { reasonOf } from '../reason-of.ts'
import { CliError, exitCodes } from '../exit-code.ts'
import type { Terminal } from '../terminal.ts'
import {
  addWaitOptions,
  parseWait,
  waitAcked,
  waitedCode,
  waitedText,
  type WaitOptions,
} from '../wait-acked.ts'

interface Applied {
  readonly document: DocumentView
  readonly revision: number
  readonly outcome: 'created' | 'applied'
}

const readFiles = async (files: readonly string[], terminal: Terminal): Promise<FileDocument[]> => {
  const found: FileDocument[] = []
  for (const file of files) {
    let text: string
    try {
      text = await terminal.read(file)
    } catch (error) {
      throw new CliError(exitCodes.usage, `${file} cannot be read: ${reasonOf(error)}`, { cause: error })
    }
    found.push(...parseDocumentFile(file, text))
  }
  return found
}

/** The API's words about a document, each at its line of the file. */
const atLines = (error: ApiRefusedError, document: FileDocument): CliError => {
  const { problem } = error
  const fields = (problem.errors ?? []).map(
    ({ pointer, detail, accepted }) =>
      `\n  ${document.locate(pointer)}: ${pointer} ${detail}; accepted: ${accepted}`,
  )
  const what = `${document.kind}/${document.name} was refused (${problem.code}): ${problem.title}`
  return new CliError(
    error.exitCode,
    fields.length === 0 ? `${what}: ${problem.detail}` : `${what}${fields.join('')}`,
    {
      cause: error,
    },
  )
}

const applyOne = async (api: ApiClient, document: FileDocument): Promise<Applied> => {
  const { kind, name, spec } = document
  const path = `/documents/${encodeURIComponent(kind)}/${encodeURIComponent(name)}`
  try {
    const { status, revision, body } = await api.send<DocumentView>('PUT', path, { body: { spec } })
    return { document: body, revision, outcome: status === 201 ? 'created' : 'applied' }
  } catch (error) {
    throw error instanceof ApiRefusedError ? atLines(error, document) : error
  }
}

/** `waymark apply -f FILE`: document by document, in order, up to the first that is refused. */
export const applyCommand = (run: Run): Command => {
  const command = new Command('apply')
    .description('apply the documents of files, one write each, up to the first that is refused')
    .requiredOption('-f, --file <file>', 'YAML or JSON; - reads the standard input; several', collect)
  addWaitOptions(command)
  return command.action((options: WaitOptions & { readonly file: readonly string[] }) =>
    run(command, async context => {
      const { api, terminal, print } = context
      const { file } = options
      const waitMs = parseWait(options)
      const documents = await readFiles(file, terminal)
      if (documents.length === 0) throw new CliError(exitCodes.usage, 'there is no document in these files')
      const applied: Applied[] = []
      const waited: RevisionSidecarsView[] = []
      try {
        for (const document of documents) applied.push(await applyOne(api, document))
        const revisions = applied.map(({ document: { revision } }) => revision)
        if (waitMs !== null) waited.push(...(await waitAcked(context, revisions, waitMs)))
      } finally {
        if (applied.length > 0) {
          print(waitMs === null ? applied : { applied, sidecars: waited }, () =>
            [
              ...applied.map(
                ({ document: { kind, name }, revision, outcome }) =>
                  `${kind}/${name} ${outcome} (revision ${revision})`,
              ),
              ...waited.map(view => waitedText(view, context)),
            ].join('\n'),
          )
        }
      }
      return waitedCode(waited)
    }),
  )
}
