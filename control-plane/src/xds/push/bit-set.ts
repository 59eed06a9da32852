const wordBits = 5
const wordSize = 1 << wordBits
const lastBit = wordSize - 1
/** A group of words has one bit in the summary for each. */
const groupBits = 2 * wordBits

/**
 * A set of small numbers: one bit for each up to the largest, and a summary that lets `each` skip 32 empty words at
 * a time, so that its cost is that of the members.
 */
export class BitSet {
  #words = new Uint32Array(1)
  #summary = new Uint32Array(1)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(member: number): boolean {
    return (((this.#words[member >> wordBits] ?? 0) >>> (member & lastBit)) & 1) === 1
  }

  /** False when it was there already. */
  add(member: number): boolean {
    if (this.has(member)) return false
    const word = member >> wordBits
    if (word >= this.#words.length) this.#grow(word)
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (member & lastBit))
    const group = member >> groupBits
    this.#summary[group] = (this.#summary[group] ?? 0) | (1 << (word & lastBit))
    this.#size += 1
    return true
  }

  /** False when it was not there. */
  delete(member: number): boolean {
    if (!this.has(member)) return false
    const word = member >> wordBits
    const left = (this.#words[word] ?? 0) & ~(1 << (member & lastBit))
    this.#words[word] = left
    const group = member >> groupBits
    if (left === 0) this.#summary[group] = (this.#summary[group] ?? 0) & ~(1 << (word & lastBit))
    this.#size -= 1
    return true
  }

  /** The smallest member that is not smaller than `start`. */
  from(start: number): number | undefined {
    const first = start >> wordBits
    const rest = (this.#words[first] ?? 0) & (-1 << (start & lastBit))
    if (rest !== 0) return (first << wordBits) | lowestBit(rest)
    const next = first + 1
    for (let group = next >> wordBits; group < this.#summary.length; group += 1) {
      const skipped = group === next >> wordBits ? -1 << (next & lastBit) : -1
      const words = (this.#summary[group] ?? 0) & skipped
      if (words === 0) continue
      const word = (group << wordBits) | lowestBit(words)
      return (word << wordBits) | lowestBit(this.#words[word] ?? 0)
    }
    return undefined
  }

  copy(): BitSet {
    const copy = new BitSet()
    copy.#words = this.#words.slice()
    copy.#summary = this.#summary.slice()
    copy.#size = this.#size
    return copy
  }

  /** In ascending order. The set must not be changed meanwhile. */
  each(visit: (member: number) => void): void {
    for (let group = 0; group < this.#summary.length; group += 1) {
      for (let words = this.#summary[group] ?? 0; words !== 0; words &= words - 1) {
        const word = (group << wordBits) | lowestBit(words)
        for (let bits = this.#words[word] ?? 0; bits !== 0; bits &= bits - 1) {
          visit((word << wordBits) | lowestBit(bits))
        }
      }
    }
  }

  #grow(word: number): void {
    const length = Math.max(word + 1, Math.ceil(this.#words.length * 1.5))
    const words = new Uint32Array(length)
    words.set(this.#words)
    this.#words = words
    const summary = new Uint32Array((length + lastBit) >> wordBits)
    summary.set(this.#summary)
    this.#summary = summary
  }
}

const lowestBit = (bits: number): number => lastBit - Math.clz32(bits & -bits)
