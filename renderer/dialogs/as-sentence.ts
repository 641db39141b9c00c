// Errors of the catalogue as sentences: their texts begin small and have no full stop, since a terminal puts words around them.

export const asSentence = (text: string): string => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`
}
