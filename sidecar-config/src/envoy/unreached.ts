/**
 * How a sidecar tells the caller's sidecar that a request never reached its application. The inbound listener
 * adds this header to its own 503 when the connection to the application failed (response flag UF) or was not
 * tried for lack of room (UO). The caller's sidecar may then try another instance, whatever the method, and
 * removes the header before its application sees the answer. An application cannot forge it: the inbound
 * listener removes it from what the application answers.
 */
export const unreachedHeader = 'x-waymark-unreached'

export const unreachedReasons = [
  { flag: 'UF', reason: 'connect-failure' },
  { flag: 'UO', reason: 'overflow' },
] as const
