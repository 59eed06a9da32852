import { outboundRoutes } from '@waymark/sidecar-config/envoy/names.ts'
import { packRoutes } from '@waymark/sidecar-config/envoy/resource.ts'
import { buildNoRoutes, buildOutboundRoutes } from '@waymark/sidecar-config/envoy/routes.ts'
import type { XdsResource } from '../xds/port.ts'
import { asResource } from './built.ts'

const outbound = asResource({ packed: packRoutes(buildOutboundRoutes()), revision: 0, before: undefined })

/**
 * X6: every route configuration exists, since Envoy waits for one that does not. All sidecars have the same one, the
 * virtual hosts of which come by VHDS; under any other name is one that answers 404.
 */
export const routeConfiguration = (name: string): XdsResource =>
  name === outboundRoutes
    ? outbound
    : asResource({ packed: packRoutes(buildNoRoutes(name)), revision: 0, before: undefined })
