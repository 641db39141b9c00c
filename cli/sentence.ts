// Puts texts of core and server, which are clauses, into sentences that others can follow. Pure.

/** "no route" → "no route."; a text that ends as a sentence already stays as it is. */
export const asSentence = (text: string): string => (/[.!?:]$/.test(text) || text === '' ? text : `${text}.`)
