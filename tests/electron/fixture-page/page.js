// A page without an interface: calls through `window.postern` as the renderer does, and keeps what it hears for the test to read.
const { postern } = globalThis
const events = []
const waiting = new Map()
let lastId = 0

postern.onMessage((message) => {
  if (message.event !== undefined) events.push(message)
  waiting.get(message.id)?.(message)
  waiting.delete(message.id)
})

/** Resolves to the whole answer, an error included. */
const call = (method, params = {}) =>
  new Promise((resolve) => {
    waiting.set(++lastId, resolve)
    postern.send({ id: lastId, method, params })
  })

globalThis.fixture = { call, events }
