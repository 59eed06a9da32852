/**
 * Stays beside a test run and cleans up after it when it has been killed, by Ctrl-C or without a chance to say so. Its
 * argument is the directory of the run; its standard input ends when the run does.
 */
import { endLeftovers } from './leftovers.ts'

const [, , directory] = process.argv
if (directory === undefined) throw new Error('usage: run-guard-process.ts DIRECTORY')
process.stdin.resume()
process.stdin.once('close', () => void endLeftovers(directory))
