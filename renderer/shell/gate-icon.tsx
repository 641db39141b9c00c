// The icon of gateways, in the manner of lucide's.

export const GateIcon = () => (
  <svg
    viewBox="0 0 24 24"
    fill="none"
    stroke="currentColor"
    strokeWidth="2"
    strokeLinecap="round"
    strokeLinejoin="round"
    aria-hidden="true"
  >
    <path d="M4 21V11a8 8 0 0 1 16 0v10M2 21h20M9 21v-8a3 3 0 0 1 6 0v8" />
  </svg>
)
