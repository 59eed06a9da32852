/**
 * A write's place in the one gapless, totally ordered log. A positive safe integer; 0 means "before the
 * first write". Carried as a string in JSON bodies that leave the process where 2^53 could matter: it cannot
 * here (10,000 writes per second reach 2^53 after 28,000 years), so REST uses plain numbers.
 */
export type Revision = number

/** Somebody asked for log entries that retention has removed. What to do: read a snapshot and go on from it. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError'
  readonly requested: Revision
  readonly oldest: Revision

  constructor(
    requested: Revision,
    oldest: Revision,
    message = `revision ${requested} is no longer in the log; the oldest retained revision is ${oldest}`,
  ) {
    super(message)
    this.requested = requested
    this.oldest = oldest
  }
}

/** Somebody has seen more than the log holds: the database was restored to an earlier state. */
export const beyondLog = (seen: Revision, head: Revision): CompactedError =>
  new CompactedError(
    seen,
    head,
    `the log ends at revision ${head}, before ${seen}: the database was restored to an earlier state`,
  )

/** Somebody was shown the end of a log that has lost it since. */
export const rewritten = (seen: Revision, head: Revision): CompactedError =>
  new CompactedError(
    seen,
    head,
    `the log was given another end while revision ${seen} of it was shown: the database was restored, or a standby has taken over that had not got all of it`,
  )
