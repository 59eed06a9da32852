// Loaded before a replica: the clock of the one that WRONG_CLOCK_REPLICA names is wrong by WRONG_CLOCK_MS.
if (process.env.WAYMARK_REPLICA_ID === process.env.WRONG_CLOCK_REPLICA) {
  const by = Number(process.env.WRONG_CLOCK_MS)
  const right = Date
  const now = () => right.now() + by
  globalThis.Date = class extends right {
    constructor(...given) {
      if (given.length === 0) super(now())
      else super(...given)
    }
    static now() {
      return now()
    }
  }
}
