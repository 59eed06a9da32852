import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes longest on its own, in this order. A file that is missing here only makes the whole end a little later. */
const longest: readonly string[] = [
  'e2e/tests/24-modes.test.ts',
  'control-plane/src/xds/transport/fuzz.test.ts',
  'e2e/tests/17-churn.test.ts',
  'e2e/tests/12-proxyless-grpc.test.ts',
  'e2e/tests/19-mesh-churn.test.ts',
  'e2e/tests/04-postgres-outage.test.ts',
  'e2e/tests/22-passive-health.test.ts',
]

/** Then the projects whose tests wait most; the short ones that only compute fill the end. */
const projects: readonly string[] = ['e2e', 'pg', 'unit']

/** Orders the files of all projects so that what runs side by side is done at about the same time. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const place = longest.indexOf(relative(this.ctx.config.root, moduleId))
      return place === -1 ? longest.length + projects.indexOf(project.name) : place
    }
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}
