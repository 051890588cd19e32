import { readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'

/** Writes the licences of the packages that the bundle contains to licences.txt, as these licences ask. */
function licences(): Plugin {
  return {
    name: 'licences',
    generateBundle() {
      const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> }
      // @preact/signals contains @preact/signals-core, of the same authors under the same licence.
      const source = Object.keys(dependencies)
        .map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8')}`)
        .join('\n\n')
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source })
    },
  }
}

export default defineConfig({
  plugins: [licences()],
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    // Browsers of the last two years: the style sheet uses light-dark() and nesting.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    // The content security policy of the server allows data: addresses for pictures only.
    assetsInlineLimit: 0,
    // The polyfill for module preloading is for older browsers.
    modulePreload: { polyfill: false },
  },
  server: {
    // A running host; see README.md.
    proxy: { '/api': { target: process.env.EVERYFRAME_URL ?? 'http://127.0.0.1:8080' } },
  },
})
