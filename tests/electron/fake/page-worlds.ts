// Scripts that make a Chromium page what a sandboxed, context-isolated Electron window is: the page's own world gets nothing but
// what `contextBridge` exposes; the preload's world has `contextBridge` and `ipcRenderer`. The two talk through DOM events that
// carry JSON only, so that no object crosses (functions become handles, as with the real bridge).

/** Runs in the page's world, before everything else. */
export const PAGE_WORLD = String.raw`(() => {
  if (window !== top) return
  const callbacks = new Map()
  let last = 0
  let answer
  const fire = (type, detail) => dispatchEvent(new CustomEvent('fake-bridge-' + type, { detail: JSON.stringify(detail) }))
  const packed = (value) => {
    if (typeof value !== 'function') return { value: JSON.parse(JSON.stringify(value ?? null)) }
    callbacks.set(++last, value)
    return { callback: last }
  }
  const call = (handle, args) => {
    answer = undefined
    fire('call', { handle, args: args.map(packed) })
    const got = answer
    if (got.error !== undefined) throw new Error(got.error)
    return unpacked(got.result)
  }
  const unpacked = (shape) => {
    if (shape.handle) return (...args) => call(shape.handle, args)
    if (shape.members) {
      return Object.freeze(Object.fromEntries(Object.entries(shape.members).map(([key, member]) => [key, unpacked(member)])))
    }
    return shape.value
  }
  addEventListener('fake-bridge-answer', (event) => { answer = JSON.parse(event.detail) })
  addEventListener('fake-bridge-callback', (event) => {
    const { callback, args } = JSON.parse(event.detail)
    callbacks.get(callback)?.(...args)
  })
  addEventListener('fake-bridge-expose', (event) => {
    const { name, shape } = JSON.parse(event.detail)
    Object.defineProperty(window, name, { value: unpacked(shape), writable: false, configurable: false })
  })
})()`

/** Runs in the preload's isolated world; BINDING is the one way out, which only that world has. */
export const preloadWorld = (preload: string, binding: string): string => String.raw`(() => {
  if (window !== top) return
  const handles = new Map()
  let last = 0
  const fire = (type, detail) => dispatchEvent(new CustomEvent('fake-bridge-' + type, { detail: JSON.stringify(detail) }))
  const shapeOf = (value) => {
    if (typeof value === 'function') { handles.set(++last, value); return { handle: last } }
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      return { members: Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shapeOf(member)])) }
    }
    return { value: value ?? null }
  }
  addEventListener('fake-bridge-call', (event) => {
    const { handle, args } = JSON.parse(event.detail)
    try {
      const real = args.map((one) => one.callback ? (...values) => fire('callback', { callback: one.callback, args: values }) : one.value)
      fire('answer', { result: shapeOf(handles.get(handle)(...real)) })
    } catch (error) {
      fire('answer', { error: String(error.message) })
    }
  })
  const listeners = new Map()
  const of = (channel) => listeners.get(channel) ?? listeners.set(channel, new Set()).get(channel)
  const ipcRenderer = {
    on(channel, listener) { of(channel).add(listener); return ipcRenderer },
    removeListener(channel, listener) { of(channel).delete(listener); return ipcRenderer },
    send: (channel, ...args) => ${binding}(JSON.stringify({ channel, args })),
  }
  globalThis.fakeDeliver = (text) => {
    const { channel, args } = JSON.parse(text)
    for (const listener of [...of(channel)]) listener({ sender: ipcRenderer }, ...args)
  }
  const electron = { contextBridge: { exposeInMainWorld: (name, api) => fire('expose', { name, shape: shapeOf(api) }) }, ipcRenderer }
  const require = (name) => {
    if (name === 'electron') return electron
    throw new Error('module not found in a sandboxed preload: ' + name)
  }
  const module = { exports: {} }
  ;(function (require, module, exports) { ${preload}
  })(require, module, module.exports)
})()`
