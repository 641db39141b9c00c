// Types of parent-death.mjs for demo/.
export function onParentDeath(onDeath: () => void): () => void
