// Lint rules of the house. The arrows between folders (docs/design in README, "The house") are enforced here:
// each folder lists the folders it may import; everything else is an error that names the rule.
import js from '@eslint/js'
import reactHooks from 'eslint-plugin-react-hooks'
import ts from 'typescript-eslint'

const folders = ['shared', 'link', 'client', 'cli', 'server', 'demo', 'electron', 'renderer', 'tests']

/** folder → folders it may import besides itself. */
const arrows = {
  shared: [],
  link: ['shared'],
  client: ['link', 'shared'],
  cli: ['client', 'shared'],
  server: ['link', 'shared'],
  demo: ['server', 'client', 'link', 'shared'],
  electron: ['client', 'link', 'shared'],
  renderer: ['shared'],
  tests: folders,
}

const arrowRules = Object.entries(arrows).map(([folder, allowed]) => ({
  files: [`${folder}/**/*.{ts,tsx}`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...folders
            .filter((other) => other !== folder && !allowed.includes(other))
            .map((other) => ({
              group: [`**/../${other}/**`, `../${other}/**`],
              message: `${folder}/ may not import ${other}/`,
            })),
          ...(folder === 'electron'
            ? []
            : [{ regex: '^electron(/.*)?$', message: 'only electron/ names the electron module' }]),
          ...(folder === 'client'
            ? [{ group: ['react', 'react-dom', 'zustand'], message: 'the client core knows no screen (G20)' }]
            : []),
          ...(folder === 'renderer'
            ? [{ group: ['**/shared/wire/**', 'node:*'], message: 'the renderer knows no wire protocol and no Node' }]
            : []),
          ...(folder === 'shared' ? [{ group: ['node:*', '!node:buffer'], message: 'shared/ is pure: no I/O' }] : []),
        ],
      },
    ],
  },
}))

export default ts.config(
  { ignores: ['node_modules/**', 'out/**', 'dist/**'] },
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    extends: [...ts.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-invalid-void-type': ['error', { allowInGenericTypeArguments: true }],
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'no enums: use a union of literals' },
      ],
    },
  },
  { files: ['renderer/**/*.{ts,tsx}'], ...reactHooks.configs.flat.recommended },
  {
    files: ['tests/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs', 'bin/postern'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        fetch: 'readonly',
      },
    },
  },
  ...arrowRules,
)
