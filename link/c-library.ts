// The C library of this process, for the few calls of the system that Node does not have. Through koffi, an optional dependency whose
// binaries are installed on Linux. Called by give-way.ts and the client's netlink-socket.ts.

/** What is used of koffi (koffi.dev). */
export type CLibrary = {
  /** A function by its prototype in C. @throws Error where there is none of this name */
  func: (prototype: string) => unknown
  /** Of the last call. */
  errno: () => number
}

/** @throws (rejects) Error where koffi is not installed or does not run here */
export async function loadCLibrary(): Promise<CLibrary> {
  // The one without a list of every platform's binary, which bundlers would look for.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-assertion -- it is optional, so its types may not be there either
  const { default: koffi } = (await import('koffi/indirect' as string)) as { default: Koffi }
  const library = koffi.load(null)
  return { func: (prototype) => library.func(prototype), errno: () => koffi.errno() }
}

type Koffi = {
  /** null: what this process has loaded already, the C library among it. */
  load: (path: null) => Pick<CLibrary, 'func'>
  errno: () => number
}
