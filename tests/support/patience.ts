// How long tests wait for what must come. Deadlines are written for a machine at rest; a shared one is several times slower, and
// a wait that ends well costs nothing. No requirement is proved by such a deadline.

/** Every deadline of a helper, times this. */
export const PATIENCE = 3
