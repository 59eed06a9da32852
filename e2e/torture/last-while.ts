/** The last entry of the part at the beginning for which `holds` is true; looked for by halves. */
export const lastWhile = <T>(list: readonly T[], holds: (entry: T) => boolean): T | undefined => {
  let [low, high] = [0, list.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const entry = list[middle]
    if (entry !== undefined && holds(entry)) low = middle + 1
    else high = middle
  }
  return list[low - 1]
}
