import { WireType, type BinaryReader } from '@bufbuild/protobuf/wire'

/**
 * Walks the fields of a message of `length` bytes from the reader's place on. `read` consumes the value of a length-delimited
 * field and returns true, or returns false to have it skipped; fields of other wire types are skipped: the
 * messages read by hand have none that matter. Throws when a field ends beyond the message.
 */
export function eachField(reader: BinaryReader, length: number, read: (field: number) => boolean): void {
  const end = reader.pos + length
  if (end > reader.len) throw new RangeError('a field ends beyond its message')
  while (reader.pos < end) {
    const [field, wireType] = reader.tag()
    if (wireType !== WireType.LengthDelimited || !read(field)) reader.skip(wireType)
  }
  if (reader.pos !== end) throw new RangeError('a field ends beyond its message')
}
