// Runs the tests of this folder against the system at EVERYFRAME_URL, one after the other, and prints how many passed.
//
//     EVERYFRAME_URL=http://127.0.0.1:8080 node run.mjs [PART OF A FILE'S NAME...]
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

if (!process.env.EVERYFRAME_URL) {
  console.error('EVERYFRAME_URL is not set: give the address of a running system, or use `make test-dashboard`')
  process.exit(2)
}
const folder = import.meta.dirname
const wanted = process.argv.slice(2)
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test.mjs') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort()
  .map((name) => join(folder, name))
const counts = { passed: 0, failed: 0 }
// One process and one browser: on two cores, several browsers would only slow each other down.
const tests = run({ files, isolation: 'none', timeout: 120_000 })
tests.on('test:pass', (event) => {
  if (event.details.type !== 'suite' && event.skip === undefined) counts.passed++
})
tests.on('test:fail', (event) => {
  if (event.details.type !== 'suite') counts.failed++
})
tests.compose(spec).pipe(process.stdout)
tests.on('end', () => {
  setImmediate(() => {
    console.log(`dashboard: ${counts.passed} passed, ${counts.failed} failed`)
    process.exit(counts.failed || !counts.passed ? 1 : 0)
  })
})
