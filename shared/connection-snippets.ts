// What a person copies to point a client at a gateway, for each client in its own form and with a connect timeout that
// outlasts a login (G9). Pure; called by the gateway's page and the palette.
import type { GatewayDetail } from './app-state.ts'

export type SnippetTarget = Pick<
  GatewayDetail,
  | 'id'
  | 'profile'
  | 'resource'
  | 'protocol'
  | 'account'
  | 'database'
  | 'host'
  | 'port'
  | 'url'
  | 'env'
  | 'connectTimeoutSeconds'
  | 'password'
  | 'socket'
  | 'socketUrl'
>
export type SnippetId =
  'psql' | 'url' | 'jdbc' | 'env' | 'dbeaver' | 'datagrip' | 'vscode' | 'address' | 'nc' | 'socket'
/** `hint`: where the text goes, null where its look says it. */
export type Snippet = { id: SnippetId; title: string; text: string; hint: string | null }

/** `platform`: Node's name of the system on which the clients run; decides how a shell quotes. */
export function connectionSnippets(target: SnippetTarget, platform: string): readonly Snippet[] {
  const isWindows = platform === 'win32'
  switch (target.protocol) {
    case 'postgres':
      return postgresSnippets(target, isWindows)
    case 'tcp':
      return tcpSnippets(target, isWindows)
  }
}

/** Of plain TCP nothing is known but where it is. */
function tcpSnippets(target: SnippetTarget, isWindows: boolean): readonly Snippet[] {
  const { host, port, url } = target
  return [
    {
      id: 'address',
      title: 'Address',
      text: `${bracketed(host)}:${port}`,
      hint: 'Any client that speaks what the resource speaks. Its own connect timeout is best set longer than a login takes.',
    },
    // Windows has no nc of its own.
    ...(isWindows ? [] : [{ id: 'nc' as const, title: 'nc', text: `nc ${host} ${port}`, hint: null }]),
    ...(target.socket === undefined
      ? []
      : [
          {
            id: 'socket' as const,
            title: 'Socket',
            text: target.socket,
            hint: 'A Unix socket that only you can open.',
          },
        ]),
    { id: 'url', title: 'URL', text: url, hint: null },
    {
      id: 'env',
      title: 'Environment',
      text: environment(target.env, isWindows),
      hint: isWindows ? 'For PowerShell.' : null,
    },
  ]
}

function postgresSnippets(target: SnippetTarget, isWindows: boolean): readonly Snippet[] {
  const url = quotableUrl(target.url)
  const hasPassword = target.password !== undefined
  const jdbc = jdbcUrl(target)
  return [
    { id: 'psql', title: 'psql', text: `psql ${quote(url, isWindows)}`, hint: null },
    { id: 'url', title: 'URL', text: url, hint: null },
    { id: 'jdbc', title: 'JDBC', text: jdbc, hint: null },
    {
      id: 'env',
      title: 'Environment',
      text: environment(target.env, isWindows),
      hint: isWindows
        ? 'For PowerShell; every program that uses libpq reads these.'
        : 'Every program that uses libpq reads these.',
    },
    {
      id: 'dbeaver',
      title: 'DBeaver',
      text: `${isWindows ? 'dbeaverc' : 'dbeaver'} -con ${quote(dbeaverConnection(target, jdbc), isWindows)}`,
      hint: `Creates the connection in DBeaver. By hand: New connection, PostgreSQL, Connect by URL${hasPassword ? '' : ', no password'}.`,
    },
    {
      id: 'datagrip',
      title: 'DataGrip',
      text: datagripSource(target, jdbc),
      hint: hasPassword
        ? 'In DataGrip’s Database Explorer: + and “Import from Clipboard”. The password is in the URL.'
        : 'In DataGrip’s Database Explorer: + and “Import from Clipboard”. Choose “No auth” or leave the password empty.',
    },
    {
      id: 'vscode',
      title: 'VS Code',
      text: sqltoolsConnection(target),
      hint: 'An entry of “sqltools.connections” in settings.json, for the extension SQLTools with its PostgreSQL driver.',
    },
    ...(target.socketUrl === undefined
      ? []
      : [
          {
            id: 'socket' as const,
            title: 'Socket',
            text: quotableUrl(target.socketUrl),
            hint: 'Through the Unix socket, which only you can open; it asks for no password.',
          },
        ]),
  ]
}

/** IPv6 addresses stand in brackets before a port. */
const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** `'` is legal in a URL but ends a quoted word of a shell; percent-encoded it means the same (RFC 3986, 2.1). */
const quotableUrl = (url: string): string => url.replaceAll("'", '%27')

/** One word of a POSIX shell, or of cmd and PowerShell. */
function quote(text: string, isWindows: boolean): string {
  return isWindows ? `"${text.replaceAll('"', '\\"')}"` : `'${text.replaceAll("'", `'\\''`)}'`
}

/** A PostgreSQL JDBC URL. `loginTimeout` covers the whole login there, `connectTimeout` the TCP part; both in seconds. */
function jdbcUrl({ host, port, database, account, connectTimeoutSeconds, password }: SnippetTarget): string {
  const part = (text: string): string => quotableUrl(encodeURIComponent(text))
  const secret = password === undefined ? '' : `&password=${part(password)}`
  const timeouts = `connectTimeout=${connectTimeoutSeconds}&loginTimeout=${connectTimeoutSeconds}`
  return `jdbc:postgresql://${bracketed(host)}:${port}/${part(database)}?user=${part(account)}${secret}&sslmode=disable&${timeouts}`
}

function environment(env: Readonly<Record<string, string>>, isWindows: boolean): string {
  const line = ([name, value]: [string, string]): string =>
    isWindows ? `$env:${name} = '${value.replaceAll("'", "''")}'` : `export ${name}=${shellWord(value)}`
  return Object.entries(env).map(line).join('\n')
}

/** Without quotes where none are needed. */
const shellWord = (value: string): string => (/^[\w.,:/@%+-]+$/.test(value) ? value : quote(value, false))

/** DBeaver's `-con`: key=value, separated by `|`, which a value therefore must not hold; the URL has it percent-encoded. */
function dbeaverConnection({ resource, profile }: SnippetTarget, jdbc: string): string {
  return [
    `driver=postgresql`,
    `name=${resource} (${profile})`,
    `url=${jdbc}`,
    'create=true',
    'save=true',
    'connect=true',
  ].join('|')
}

/** The text that DataGrip puts on the clipboard for a data source, and reads from it. */
function datagripSource({ id, resource, profile, account }: SnippetTarget, jdbc: string): string {
  const name = xml(`${resource} (${profile})`)
  return [
    '#DataSourceSettings#',
    `#LocalDataSource: ${resource} (${profile})`,
    '#BEGIN#',
    `<data-source source="LOCAL" name="${name}" uuid="${xml(id)}">`,
    '<driver-ref>postgresql</driver-ref>',
    '<synchronize>true</synchronize>',
    '<jdbc-driver>org.postgresql.Driver</jdbc-driver>',
    `<jdbc-url>${xml(jdbc)}</jdbc-url>`,
    `<user-name>${xml(account)}</user-name>`,
    '</data-source>',
    '#END#',
  ].join('\n')
}

const XML_ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const xml = (text: string): string => text.replace(/[&<>"]/g, (character) => XML_ENTITIES[character] ?? character)

function sqltoolsConnection(target: SnippetTarget): string {
  const connection = {
    name: `${target.resource} (${target.profile})`,
    driver: 'PostgreSQL',
    server: target.host,
    port: target.port,
    database: target.database,
    username: target.account,
    password: target.password ?? '',
    askForPassword: false,
    connectionTimeout: target.connectTimeoutSeconds,
    pgOptions: { ssl: false },
  }
  return JSON.stringify(connection, null, 2)
}
