// A mistake in a screen must not leave an empty window: what broke is replaced by a sentence and the way out. Gateways are not
// touched by it, since the core owns them. Around the whole app, and around each screen so that the way around stays.
import { Component, type ReactNode } from 'react'
import { Button } from '../components/button.tsx'
import { EmptyState } from '../components/empty-state.tsx'
import { texts } from '../texts.ts'

type CrashGuardProps = { children: ReactNode }

export class CrashGuard extends Component<CrashGuardProps, { isBroken: boolean }> {
  override state = { isBroken: false }

  static getDerivedStateFromError(): { isBroken: boolean } {
    return { isBroken: true }
  }

  override render(): ReactNode {
    if (!this.state.isBroken) return this.props.children
    return (
      <div role="alert">
        <EmptyState
          title={texts.crash.title}
          text={texts.crash.text}
          action={<Button onClick={() => location.reload()}>{texts.crash.reload}</Button>}
        />
      </div>
    )
  }
}
