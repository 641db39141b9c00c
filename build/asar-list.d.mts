/** Paths in an asar archive with `/`, in the archive's order. */
export function readAsarList(file: string): Promise<string[]>
