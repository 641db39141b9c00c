// Entry of the page: starts the mirror of the core's state and draws the app. Reads the clock for those that may not.
import './transport/no-eval.ts'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { CrashGuard } from './shell/crash-guard.tsx'
import { startMirror } from './state/mirror.ts'
import { client } from './transport/connection.ts'
import './styles/tokens.css'
import './styles/base.css'

startMirror(client, Date.now)
const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')
createRoot(root).render(
  <StrictMode>
    <CrashGuard>
      <App />
    </CrashGuard>
  </StrictMode>,
)
