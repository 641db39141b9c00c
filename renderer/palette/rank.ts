// Which entries the palette shows, and in which order: without a search the recent ones and some of each group, with one the
// best matches whatever their group. Pure.
import { defaultFilter } from 'cmdk'
import { flowTexts } from '../flow-texts.ts'
import type { Entry, EntryGroup } from './entries.ts'

const words = flowTexts.palette

export type Section = { key: string; heading: string | null; entries: readonly Entry[]; /** Not shown. */ more: number }

const RECENT_MAX = 4
const GROUP_MAX: Record<EntryGroup, number> = { gateways: 5, resources: 5, commands: 8 }
const FOUND_MAX = 50
const GROUPS: readonly EntryGroup[] = ['gateways', 'resources', 'commands']
/** How much a match in the keywords counts beside one in the title. */
const KEYWORD_WEIGHT = 0.6
/** A recent entry wins over one that matches about as well. */
const RECENT_BONUS = 1.15
const SECONDARY_WEIGHT = 0.9
/** Letters that only happen to occur in this order are no match: not at all, or not beside a much better one. */
const LEAST_SCORE = 0.02
const LEAST_SHARE = 0.2

/** `recent`: ids, the last one used first. */
export function rank(entries: readonly Entry[], search: string, recent: readonly string[]): Section[] {
  const sought = search.trim()
  return sought === '' ? overview(entries, recent) : [found(entries, sought, recent)]
}

function overview(entries: readonly Entry[], recent: readonly string[]): Section[] {
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  const latest = recent.flatMap((id) => byId.get(id) ?? []).slice(0, RECENT_MAX)
  const sections: Section[] = [{ key: 'recent', heading: words.recent, entries: latest, more: 0 }]
  for (const group of GROUPS) {
    const rest = entries.filter((entry) => entry.group === group && !entry.isSecondary && !latest.includes(entry))
    const shown = rest.slice(0, GROUP_MAX[group])
    sections.push({ key: group, heading: words[group], entries: shown, more: rest.length - shown.length })
  }
  return sections.filter((section) => section.entries.length > 0)
}

function found(entries: readonly Entry[], search: string, recent: readonly string[]): Section {
  const matches = entries
    .map((entry) => ({ entry, score: scoreOf(entry, search) * (recent.includes(entry.id) ? RECENT_BONUS : 1) }))
    .sort((a, b) => b.score - a.score)
  const least = Math.max(LEAST_SCORE, (matches[0]?.score ?? 0) * LEAST_SHARE)
  const good = matches.filter((match) => match.score >= least).map((match) => match.entry)
  const shown = good.slice(0, FOUND_MAX)
  return { key: 'found', heading: null, entries: shown, more: good.length - shown.length }
}

/** 0 to about 1: as well as its worst word is found, in the title or (for less) in a keyword. */
function scoreOf(entry: Entry, search: string): number {
  const scores = search.split(/\s+/).map((word) => {
    const inWords = entry.keywords.map((keyword) => (keyword === '' ? 0 : defaultFilter(keyword, word)))
    return Math.max(defaultFilter(entry.title, word), Math.max(0, ...inWords) * KEYWORD_WEIGHT)
  })
  return Math.min(...scores) * (entry.isSecondary ? SECONDARY_WEIGHT : 1)
}
