// Loaded with `--import` before the entry of a utility process of the fake: `process.parentPort` over the process channel.
import { EventEmitter } from 'node:events'

const port = new EventEmitter()
port.postMessage = (message) => void process.send(message)
process.on('message', (data) => port.emit('message', { data, ports: [] }))
Object.defineProperty(process, 'parentPort', { value: port, enumerable: true })
