/** Where a request came from: the host counts for limits, the whole address goes into records. Given by web/ to accounts/ and sso/. */
export type Peer = { host: string; address: string }
