// Tables for people: aligned columns, no lines, header in capitals. Used by every listing. Pure.

export type Column = {
  title: string
  align?: 'left' | 'right'
  /** On a narrow screen columns with a rank are left out, the highest first. */
  rank?: number
}

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

const GAP = '  '

/**
 * The table's text with a line end; just the header if there are no rows.
 * @param within characters of a line: columns that have a rank are left out until it fits
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  within = Number.POSITIVE_INFINITY,
): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(clean))]
  const widths = columns.map((_column, index) =>
    cells.reduce((most, row) => Math.max(most, width(row[index] ?? '')), 0),
  )
  const shown = columnsWithin(columns, widths, within)
  return cells
    .map((row) => {
      const padded = shown.map((index) => {
        const align = columns[index]?.align
        const cell = row[index] ?? ''
        const space = ' '.repeat((widths[index] ?? 0) - width(cell))
        return align === 'right' ? space + cell : cell + space
      })
      return `${padded.join(GAP).trimEnd()}\n`
    })
    .join('')
}

/** Indices of the columns that fit, in their order; those without a rank always. */
function columnsWithin(columns: readonly Column[], widths: readonly number[], within: number): number[] {
  let shown = columns.map((_column, index) => index)
  const lineWidth = (): number =>
    shown.reduce((sum, index) => sum + (widths[index] ?? 0), 0) + GAP.length * Math.max(0, shown.length - 1)
  const byRank = columns
    .flatMap(({ rank }, index) => (rank === undefined ? [] : [{ rank, index }]))
    .sort((a, b) => b.rank - a.rank)
  for (const { index } of byRank) {
    if (lineWidth() <= within) break
    shown = shown.filter((one) => one !== index)
  }
  return shown
}
