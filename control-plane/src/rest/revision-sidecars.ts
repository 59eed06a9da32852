import type { ReplicaAnswer, RevisionAnswers } from '../resources/ack-ports.ts'
import type { RevisionSidecarsView } from './schemas/revision-sidecars.ts'

/** Names of each kind that an answer lists, over all replicas. */
const listed = 20

type Heard = ReplicaAnswer & { readonly report: NonNullable<ReplicaAnswer['report']> }

/** The answers of all replicas as one. */
export const revisionSidecarsView = ({
  revision,
  complete,
  answers,
}: RevisionAnswers): RevisionSidecarsView => {
  const heard = answers.filter((answer): answer is Heard => answer.report !== null)
  const sum = (of: (report: Heard['report']) => number): number =>
    heard.reduce((total, { report }) => total + of(report), 0)
  return {
    revision,
    complete,
    touched: sum(({ touched }) => touched),
    acked: sum(({ acked }) => acked),
    nacked: sum(({ nacked }) => nacked),
    pending: sum(({ pending }) => pending),
    disconnected: sum(({ disconnected }) => disconnected),
    nacks: heard
      .flatMap(({ replica, report }) =>
        report.nacks.map(({ node, typeUrl, names, message, at }) => ({
          node,
          replica,
          typeUrl,
          names: [...names],
          message,
          at: new Date(at).toISOString(),
        })),
      )
      .slice(0, listed),
    waiting: heard
      .flatMap(({ replica, report }) =>
        report.waiting.map(({ node, typeUrls }) => ({ node, replica, typeUrls: [...typeUrls] })),
      )
      .slice(0, listed),
    gone: heard
      .flatMap(({ replica, report }) => report.gone.map(node => ({ node, replica })))
      .slice(0, listed),
    replicas: answers.map(({ replica, report }) => ({
      replica,
      state: report?.state ?? 'silent',
      from: report?.state === 'applied' ? report.from : null,
      to: report?.state === 'applied' ? report.to : null,
    })),
  }
}
