// A dense table: plain elements, so that screen readers and copying work; `numeric` cells align right.
import type { ComponentProps } from 'react'
import { classNames } from './class-names.ts'
import styles from './table.module.css'

export function Table({ label, className, ...rest }: ComponentProps<'table'> & { label: string }) {
  return <table {...rest} aria-label={label} className={classNames(styles.table, className)} />
}

export function HeadCell({ isNumeric = false, ...rest }: ComponentProps<'th'> & { isNumeric?: boolean }) {
  return <th scope="col" {...rest} className={classNames(isNumeric && styles.numeric, rest.className)} />
}

export function Cell({ isNumeric = false, ...rest }: ComponentProps<'td'> & { isNumeric?: boolean }) {
  return <td {...rest} className={classNames(isNumeric && styles.numeric, rest.className)} />
}
