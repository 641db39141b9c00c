// What a person copies for each client: right target, timeouts that outlast a login (G9), and quoting that names of any
// kind survive.
import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { connectionSnippets, type SnippetId } from '../../shared/connection-snippets.ts'
import { gateway } from './fixture-state.ts'

const textOf = (id: SnippetId, target = gateway('orders', 15432, 'listening'), platform = 'linux'): string =>
  connectionSnippets(target, platform).find((snippet) => snippet.id === id)!.text

describe('connection snippets', () => {
  it('G9, G16: every client gets the connect timeout of the gateway and its port, account and database', () => {
    for (const snippet of connectionSnippets(gateway('orders', 15432, 'listening'), 'linux')) {
      for (const part of ['330', '15432', 'app_rw', 'orders']) expect(snippet.text, snippet.id).toContain(part)
    }
  })

  it('G9: psql and libpq get seconds to connect, JDBC both of its timeouts', () => {
    expect(textOf('psql')).toBe("psql 'postgresql://app_rw@127.0.0.1:15432/orders?sslmode=disable&connect_timeout=330'")
    expect(textOf('env')).toContain('export PGCONNECT_TIMEOUT=330')
    expect(textOf('jdbc')).toBe(
      'jdbc:postgresql://127.0.0.1:15432/orders?user=app_rw&sslmode=disable&connectTimeout=330&loginTimeout=330',
    )
    const entry: unknown = JSON.parse(textOf('vscode'))
    expect(entry).toMatchObject({ server: '127.0.0.1', port: 15432, connectionTimeout: 330, username: 'app_rw' })
  })

  it('D1: an account with quotes, spaces, $ and & cannot break out of what a shell or a program reads', () => {
    const account = `o'neil "$(id)" & |x`
    const target = gateway('orders', 15432, 'listening', {
      account,
      database: `d'b`,
      env: { PGUSER: account, PGDATABASE: `d'b` },
    })
    const shell = execFileSync('/bin/sh', ['-c', `${textOf('env', target)}\nprintf %s "$PGUSER|$PGDATABASE"`], {
      encoding: 'utf8',
    })
    expect(shell).toBe(`${account}|d'b`)
    const words = execFileSync('/bin/sh', ['-c', `psql() { printf '%s\\n' "$@"; }\n${textOf('psql', target)}`], {
      encoding: 'utf8',
    })
    expect(words.trimEnd().split('\n')).toHaveLength(1)
    expect(new URL(words.trim()).username).toBe(encodeURIComponent(account).replaceAll("'", '%27'))
    expect(textOf('dbeaver', target).match(/\|/g)).toHaveLength(5)
    expect(textOf('datagrip', target)).toContain("<user-name>o'neil &quot;$(id)&quot; &amp; |x</user-name>")
  })

  it('D2: on Windows the strings are quoted for its shells', () => {
    const target = gateway('orders', 15432, 'listening')
    expect(textOf('psql', target, 'win32')).toMatch(/^psql "postgresql:.*"$/)
    expect(textOf('env', target, 'win32')).toContain("$env:PGHOST = '127.0.0.1'")
  })

  it('DB6: of plain TCP one copies where it is, and nothing that names an account, a database or PostgreSQL', () => {
    const target = gateway('cache', 16400, 'listening', {
      protocol: 'tcp',
      account: 'tcp',
      database: '',
      url: 'tcp://127.0.0.1:16400',
      env: { HOST: '127.0.0.1', PORT: '16400' },
    })
    const texts = (platform: string) => connectionSnippets(target, platform).map(({ id, text }) => [id, text])
    expect(texts('linux')).toEqual([
      ['address', '127.0.0.1:16400'],
      ['nc', 'nc 127.0.0.1 16400'],
      ['url', 'tcp://127.0.0.1:16400'],
      ['env', 'export HOST=127.0.0.1\nexport PORT=16400'],
    ])
    expect(texts('win32').map(([id]) => id)).toEqual(['address', 'url', 'env'])
  })
})
