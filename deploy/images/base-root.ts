import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface ImageUser {
  readonly name: string
  readonly id: number
}

/** Makes `root` anew, with what every program expects of a root folder: an unprivileged user, /tmp, a resolver. */
export const makeRoot = async (root: string, { name, id }: ImageUser): Promise<void> => {
  await rm(root, { recursive: true, force: true })
  await mkdir(join(root, 'etc', 'ssl', 'certs'), { recursive: true })
  await mkdir(join(root, 'tmp'))
  await chmod(join(root, 'tmp'), 0o1777)
  const users = ['root:x:0:0:root:/:/sbin/nologin', `${name}:x:${id}:${id}:${name}:/tmp:/sbin/nologin`]
  await writeFile(join(root, 'etc', 'passwd'), `${users.join('\n')}\n`)
  await writeFile(join(root, 'etc', 'group'), `root:x:0:\n${name}:x:${id}:\n`)
  await writeFile(join(root, 'etc', 'nsswitch.conf'), 'hosts: files dns\n')
}
