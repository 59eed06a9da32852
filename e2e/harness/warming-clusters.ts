import type { EnvoyAdmin } from '@waymark/deploy/local/envoy-admin.ts'

/** Names of the clusters that an Envoy has been told of and does not use yet: their endpoints or secrets have not come. */
export const warmingClusters = async (admin: EnvoyAdmin): Promise<string[]> => {
  const { status, body } = await admin.ask('/config_dump?resource=dynamic_warming_clusters')
  if (status !== 200) throw new Error(`Envoy answered ${status}: ${body}`)
  const { configs = [] } = JSON.parse(body) as {
    readonly configs?: readonly { readonly cluster: { readonly name: string } }[]
  }
  return configs.map(({ cluster }) => cluster.name)
}
