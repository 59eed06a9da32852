/** `10.0.0.1:80`, `[::1]:80`: an address as URLs and settings write it. */
export const hostPort = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
