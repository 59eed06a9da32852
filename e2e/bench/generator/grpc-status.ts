/** `grpc-status` as a header's name, plain and in the Huffman code of RFC 7541. */
const plain = Buffer.from('grpc-status', 'latin1')
const huffman = Buffer.from('9acac8b21234da8f', 'hex')

/**
 * The number of `grpc-status` in a block of trailers, or null. Reads just that: the client allows no dynamic table, so the
 * name is literal each time, and one or two digits are never shorter in Huffman's code.
 */
export const grpcStatus = (block: Buffer): number | null => {
  for (const name of [huffman, plain]) {
    const found = block.indexOf(name)
    if (found < 0) continue
    const start = found + name.length
    const digits = block.toString('latin1', start + 1, start + 1 + (block[start] ?? 0))
    return /^\d{1,2}$/.test(digits) ? Number(digits) : null
  }
  return null
}
