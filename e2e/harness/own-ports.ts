/** Each worker looks for free ports where no other one does; what it starts inherits that. */
const [first, each] = [20_000, 1_500]
const worker = Number(process.env['VITEST_POOL_ID'])
if (!Number.isInteger(worker) || worker < 1 || worker > 8)
  throw new Error(`worker ${worker} is none of 1 to 8`)
const lowest = first + (worker - 1) * each
process.env['WAYMARK_PORTS'] = `${lowest}-${lowest + each}`
