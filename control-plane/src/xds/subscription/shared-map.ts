import { NameTable } from './name-table.ts'

/** Values of 32 names with neighbouring numbers. Never written to again once a second map may have it. */
type Chunk<V> = readonly (V | undefined)[]

const chunkBits = 5
const chunkSize = 1 << chunkBits
const lastSlot = chunkSize - 1

const defaultSmallest = 64

/** This share of `smallest` to a chunk makes chunks smaller than a plain map. */
const worthwhile = 1 / 8

/** Chunks of the same place that are remembered: as many versions of one place as may be under way together. */
const recentChunks = 4

/**
 * What maps over the same kind of names have in common: the numbers of the names, and for each place the last chunks
 * made, in which a map looks for an equal of its own.
 */
export class SharedChunks<V> {
  readonly names = new NameTable()
  /** Below, a map is a plain one: its entries are few, and seldom the same as those of another. */
  readonly smallest: number
  readonly #recent: Chunk<V>[][] = []

  constructor({ smallest = defaultSmallest }: { smallest?: number } = {}) {
    this.smallest = smallest
  }

  /** The chunk itself, or an equal one that other maps have already. */
  share(place: number, chunk: Chunk<V>): Chunk<V> {
    const recent = (this.#recent[place] ??= [])
    for (const other of recent) if (equal(other, chunk)) return other
    recent.unshift(chunk)
    if (recent.length > recentChunks) recent.pop()
    return chunk
  }

  /** The last map that used them has given up its names: nobody will look for these chunks. */
  forgetIfUnused(): void {
    if (this.names.size === 0) this.#recent.length = 0
  }
}

/** What may be read of a shared map. */
export interface ReadonlySharedMap<V> extends Iterable<[string, V]> {
  readonly size: number
  /** Entries whose value is null; kept while writing. */
  readonly nulls: number
  get(name: string): V | undefined
  has(name: string): boolean
  keys(): Iterable<string>
  values(): Iterable<V>
}

/**
 * A map from names to values for the case of thousands of maps with nearly equal content: what each stream holds of
 * the same thousand resources. Chunks with equal content are one object, so that an entry costs a fraction of a
 * byte where all agree, and about 11 bytes where none do. A small map is a plain one.
 *
 * Writing copies one chunk, which belongs to this map until `share`. Values are compared by identity.
 */
export class SharedMap<V> implements ReadonlySharedMap<V> {
  readonly #shared: SharedChunks<V>
  #plain: Map<string, V> | undefined
  #chunks: (Chunk<V> | undefined)[] | undefined
  /** Chunks that belong to this map alone, by place. */
  #own: Map<number, (V | undefined)[]> | undefined
  #size = 0
  #nulls = 0

  constructor(shared: SharedChunks<V>) {
    this.#shared = shared
  }

  get size(): number {
    return this.#chunks === undefined ? (this.#plain?.size ?? 0) : this.#size
  }

  get nulls(): number {
    return this.#nulls
  }

  get(name: string): V | undefined {
    if (this.#chunks === undefined) return this.#plain?.get(name)
    const id = this.#shared.names.find(name)
    return id === undefined ? undefined : this.#chunks[id >> chunkBits]?.[id & lastSlot]
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: V): this {
    if (this.#chunks === undefined) {
      const plain = (this.#plain ??= new Map<string, V>())
      this.#countNulls(plain.get(name), value)
      plain.set(name, value)
      // Looked at each time the size has doubled.
      if (plain.size >= this.#shared.smallest && (plain.size & (plain.size - 1)) === 0) this.#spread(plain)
      return this
    }
    const { names } = this.#shared
    const known = names.find(name)
    const before = known === undefined ? undefined : this.#chunks[known >> chunkBits]?.[known & lastSlot]
    if (before === value) return this
    this.#countNulls(before, value)
    if (known !== undefined && before !== undefined) this.#write(known, value)
    else this.#add(name, value)
    return this
  }

  delete(name: string): boolean {
    if (this.#chunks === undefined) {
      this.#countNulls(this.#plain?.get(name), undefined)
      return this.#plain?.delete(name) === true
    }
    const id = this.#shared.names.find(name)
    const before = id === undefined ? undefined : this.#chunks[id >> chunkBits]?.[id & lastSlot]
    if (id === undefined || before === undefined) return false
    this.#countNulls(before, undefined)
    this.#write(id, undefined)
    this.#shared.names.release(id)
    this.#size -= 1
    if (this.#size < this.#shared.smallest / 2) this.#gather()
    return true
  }

  /** Gives up all entries, and with them the numbers of their names. Must be called when the map is no longer used. */
  clear(): void {
    if (this.#chunks !== undefined) {
      for (const [id] of this.#entries()) this.#shared.names.release(id)
      this.#shared.forgetIfUnused()
    }
    this.#plain = undefined
    this.#chunks = undefined
    this.#own = undefined
    this.#size = 0
    this.#nulls = 0
  }

  /** To be called after a batch of writes: chunks that have become equal to those of others become theirs. */
  share(): void {
    if (this.#own === undefined || this.#chunks === undefined) return
    for (const [place, chunk] of this.#own) this.#chunks[place] = this.#shared.share(place, chunk)
    this.#own = undefined
  }

  *keys(): Generator<string> {
    for (const [name] of this) yield name
  }

  *values(): Generator<V> {
    for (const [, value] of this) yield value
  }

  /** In no particular order. The map must not be changed meanwhile. */
  *[Symbol.iterator](): Generator<[string, V]> {
    if (this.#chunks === undefined) yield* this.#plain ?? []
    else for (const [id, value] of this.#entries()) yield [this.#shared.names.name(id), value]
  }

  *#entries(): Generator<[number, V]> {
    for (const [place, chunk] of this.#chunks?.entries() ?? []) {
      for (const [slot, value] of chunk?.entries() ?? [])
        if (value !== undefined) yield [(place << chunkBits) | slot, value]
    }
  }

  #countNulls(before: V | undefined, after: V | undefined): void {
    if (before === null) this.#nulls -= 1
    if (after === null) this.#nulls += 1
  }

  #add(name: string, value: V): void {
    this.#write(this.#shared.names.use(name), value)
    this.#size += 1
  }

  #write(id: number, value: V | undefined): void {
    const place = id >> chunkBits
    const own = (this.#own ??= new Map<number, (V | undefined)[]>())
    let chunk = own.get(place)
    if (chunk === undefined) {
      const before = this.#chunks?.[place]
      chunk = before === undefined ? emptyChunk<V>() : [...before]
      own.set(place, chunk)
      const chunks = (this.#chunks ??= [])
      while (chunks.length < place) chunks.push(undefined)
      chunks[place] = chunk
    }
    chunk[id & lastSlot] = value
  }

  #spread(plain: ReadonlyMap<string, V>): void {
    const { names, smallest } = this.#shared
    const places = new Set<number>()
    let unknown = 0
    for (const name of plain.keys()) {
      const id = names.find(name)
      if (id === undefined) unknown += 1
      else places.add(id >> chunkBits)
    }
    if (plain.size < smallest * worthwhile * (places.size + unknown / chunkSize)) return
    this.#plain = undefined
    this.#chunks = []
    for (const [name, value] of plain) this.#add(name, value)
  }

  #gather(): void {
    const plain = new Map(this)
    const nulls = this.#nulls
    this.clear()
    this.#plain = plain
    this.#nulls = nulls
  }
}

const emptyChunk = <V>(): (V | undefined)[] => new Array<V | undefined>(chunkSize).fill(undefined)

function equal(one: Chunk<unknown>, two: Chunk<unknown>): boolean {
  for (let slot = 0; slot < chunkSize; slot += 1) if (one[slot] !== two[slot]) return false
  return true
}
