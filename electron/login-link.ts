// What the link looks like with which the core begins a login in the browser: the one address without https that the desktop app
// opens. Pure; asked by shell-calls.ts.

/** `http://127.0.0.1:PORT/start/TOKEN`, to the letter. */
export const isLoginLink = (url: string): boolean =>
  /^http:\/\/127\.0\.0\.1:[1-9]\d{0,4}\/start\/[A-Za-z0-9_-]{43}$/.test(url)
