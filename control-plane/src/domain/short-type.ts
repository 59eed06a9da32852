/** The last part of a type URL: `type.googleapis.com/envoy.config.cluster.v3.Cluster` is `Cluster`. */
export const shortType = (typeUrl: string): string => typeUrl.slice(typeUrl.lastIndexOf('.') + 1)
