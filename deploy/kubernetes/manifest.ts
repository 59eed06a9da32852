/** As much of the Kubernetes objects as the tests look at. The schemas are the validator's business. */
export interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly restartPolicy?: string
  readonly env?: readonly {
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } }
  }[]
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[]
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly startupProbe?: Probe
  readonly resources?: {
    readonly requests?: { readonly cpu?: string; readonly memory?: string }
    readonly limits?: { readonly memory?: string }
  }
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean
    readonly readOnlyRootFilesystem?: boolean
    readonly capabilities?: { readonly drop?: readonly string[] }
  }
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number }
}

export type Labels = Readonly<Record<string, string>>

interface PodSpec {
  readonly automountServiceAccountToken?: boolean
  readonly terminationGracePeriodSeconds?: number
  readonly securityContext?: { readonly runAsNonRoot?: boolean; readonly runAsUser?: number }
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
}

interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly labels?: Labels
}

export interface Deployment {
  readonly kind: 'Deployment'
  readonly metadata: Metadata
  readonly spec: {
    readonly replicas: number
    readonly selector: { readonly matchLabels: Labels }
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec }
  }
}

export interface Service {
  readonly kind: 'Service'
  readonly metadata: Metadata
  readonly spec: {
    readonly clusterIP?: string
    readonly selector: Labels
    readonly ports: readonly { readonly port: number; readonly targetPort: string | number }[]
  }
}

export interface DisruptionBudget {
  readonly kind: 'PodDisruptionBudget'
  readonly metadata: Metadata
  readonly spec: { readonly minAvailable: number; readonly selector: { readonly matchLabels: Labels } }
}

interface Peer {
  readonly namespaceSelector?: { readonly matchLabels?: Labels }
  readonly podSelector?: { readonly matchLabels?: Labels }
}

export interface NetworkPolicy {
  readonly kind: 'NetworkPolicy'
  readonly metadata: Metadata
  readonly spec: {
    readonly podSelector: { readonly matchLabels?: Labels }
    readonly ingress: readonly {
      readonly from?: readonly Peer[]
      readonly ports: readonly { readonly port: number }[]
    }[]
  }
}

export interface Namespace {
  readonly kind: 'Namespace'
  readonly metadata: Metadata
}

export type Manifest = Deployment | Service | DisruptionBudget | NetworkPolicy | Namespace

/** Whether an object with these labels is selected; an empty selector selects all. */
export const selects = (selector: Labels | undefined, labels: Labels | undefined): boolean =>
  Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value)

export const containersOf = ({ spec }: Deployment): readonly Container[] => [
  ...(spec.template.spec.initContainers ?? []),
  ...spec.template.spec.containers,
]

/** The number of a port that a probe or a service names. */
export const portNumber = (container: Container, port: string | number): number | undefined =>
  typeof port === 'number' ? port : container.ports?.find(({ name }) => name === port)?.containerPort
