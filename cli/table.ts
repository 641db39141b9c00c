// Tables for people: aligned columns, no lines, header in capitals. Used by every listing. Pure.

export type Column = { title: string; align?: 'left' | 'right' }

/** Control characters of data from outside would let a row rewrite the terminal. */
// eslint-disable-next-line no-control-regex -- the point is to find them
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g

const clean = (cell: string): string =>
  cell.replace(CONTROL, (character) => {
    if (character === '\n') return '⏎'
    if (character === '\t') return ' '
    return '\ufffd'
  })

/** Characters as the terminal counts them, near enough: code points. */
const width = (cell: string): number => Array.from(cell).length

/** The table's text with a line end; just the header if there are no rows. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(clean))]
  const widths = columns.map((_column, index) => Math.max(...cells.map((row) => width(row[index] ?? ''))))
  return cells
    .map((row) => {
      const padded = columns.map(({ align }, index) => {
        const cell = row[index] ?? ''
        const space = ' '.repeat((widths[index] ?? 0) - width(cell))
        return align === 'right' ? space + cell : cell + space
      })
      return `${padded.join('  ').trimEnd()}\n`
    })
    .join('')
}
