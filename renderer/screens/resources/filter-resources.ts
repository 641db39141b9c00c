// Which resources match what was typed and chosen: every word must occur in name, description, labels or accounts; names
// that begin with the words come first. Pure.
import type { ResourceView } from '../../../shared/resource-api.ts'
import { byName } from '../../format.ts'

export type ResourceFilter = { words: string; kind: string | null; label: string | null }
export const NO_FILTER: ResourceFilter = { words: '', kind: null, label: null }

export const labelsOf = (resource: ResourceView): string[] =>
  Object.entries(resource.labels).map(([name, value]) => `${name}=${value}`)

export function filterResources(resources: readonly ResourceView[], filter: ResourceFilter): readonly ResourceView[] {
  const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean)
  const ranked: { resource: ResourceView; rank: number }[] = []
  for (const resource of resources) {
    if (filter.kind !== null && resource.protocol !== filter.kind) continue
    const labels = labelsOf(resource)
    if (filter.label !== null && !labels.includes(filter.label)) continue
    const name = resource.name.toLowerCase()
    const text = [name, resource.description, ...labels, ...resource.accounts].join('\n').toLowerCase()
    if (!words.every((word) => text.includes(word))) continue
    const first = words[0] ?? ''
    ranked.push({ resource, rank: name.startsWith(first) ? 0 : name.includes(first) ? 1 : 2 })
  }
  return ranked
    .sort((a, b) => a.rank - b.rank || byName(a.resource.name, b.resource.name))
    .map(({ resource }) => resource)
}

/** Every label that occurs, by name. */
export const allLabels = (resources: readonly ResourceView[]): string[] =>
  [...new Set(resources.flatMap(labelsOf))].sort(byName)
