/**
 * How Node runs a control plane. The image and the systemd unit say the same; a test compares.
 *
 * The young generation has 8 MB a half: grown to its default it would hold 100 MB, for nothing that shows in CPU. The
 * old one is collected when it has grown by half: by default it may first grow to several times of what is in use, so
 * that a herd of sidecars leaves hundreds of megabytes of garbage behind.
 */
export const controlPlaneFlags: readonly string[] = [
  '--disable-warning=ExperimentalWarning',
  '--max-semi-space-size=8',
  '--heap-growing-percent=50',
]

/**
 * One arena for all threads: the collector's threads would keep some 30 MB of free blocks in arenas of their own. And
 * glibc's own first threshold, fixed: large responses are mapped, and given back once they are sent.
 */
export const controlPlaneEnv: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
}
