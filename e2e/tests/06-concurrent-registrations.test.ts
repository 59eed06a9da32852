import { expect, it } from 'vitest'
import { eventuallyHolds } from '../harness/eventually.ts'
import { startTestMesh } from '../harness/story.ts'

it('200 registrations at once over both replicas: gapless revisions, the same state everywhere', async () => {
  const mesh = await startTestMesh()
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => {
      const service = `svc-${index % 7}`
      const body = { address: '127.0.0.1', port: 1_000 + index, lease: null, metadata: { n: String(index) } }
      return mesh.replica(index % 2).api.register(service, `i-${index}`, body)
    }),
  )
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
  // Revisions of two replicas' writes interleave; a header says where the answering replica's write is.
  const revisions = answers.map(({ body }) => body.revision).sort((a, b) => a - b)
  expect(revisions).toEqual(Array.from({ length: 200 }, (_, index) => index + 1))

  // Postgres, read by either replica, and both replicas' memories agree.
  const [log, otherLog] = [await mesh.replica(0).api.changes(), await mesh.replica(1).api.changes()]
  expect(otherLog).toEqual(log)
  expect(log.map(({ revision }) => revision)).toEqual(revisions)
  const logged = log.flatMap(({ changes }) => changes.map(({ after }) => after))
  await eventuallyHolds('both replicas to have all', async () => {
    for (const { api } of mesh.replicas) {
      const services = await api.services()
      const known = await Promise.all(services.map(({ name }) => api.instances(name)))
      expect(known.flat()).toHaveLength(200)
      const byRevision = known.flat().sort((a, b) => a.revision - b.revision)
      expect(byRevision).toEqual(logged)
    }
  })
})
