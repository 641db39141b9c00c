// First import of the page: zod must not probe for `new Function`, which the content security policy refuses.
import { z } from 'zod'

z.config({ jitless: true })
