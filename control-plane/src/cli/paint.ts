import { styleText } from 'node:util'
import type { Terminal } from './terminal.ts'

export type Colour = 'green' | 'yellow' | 'red' | 'dim'
export type Paint = (colour: Colour, text: string) => string

/** Colours for a person at a terminal, none in a file or a pipe. */
export const paintFor = ({ colours }: Terminal): Paint =>
  colours === true
    ? (colour, text) => styleText(colour, text, { validateStream: false })
    : (_colour, text) => text
