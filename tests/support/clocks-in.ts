/** The times that a text names, in order, in ms since 1970. */
export const clocksIn = (text: string): number[] =>
  [...text.matchAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g)].map(([time]) => Date.parse(time))
