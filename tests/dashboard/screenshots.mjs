// Makes the pictures of docs/images, of a demo that has run for a minute.
//
//     EVERYFRAME_URL=http://127.0.0.1:8080 node screenshots.mjs FOLDER
import { join } from 'node:path'
import { api, base, close, open, settled } from './support.mjs'

const folder = process.argv[2]
if (!folder || !base) {
  console.error('give the folder, and the address of a running demo in EVERYFRAME_URL')
  process.exit(2)
}

async function picture(name, path, prepare) {
  const page = await open(path, { height: 860 })
  await settled(page)
  await prepare?.(page)
  // Pictures and charts come a moment after the text.
  await page.waitForTimeout(1500)
  await page.screenshot({ path: join(folder, `${name}.jpg`), quality: 80 })
  await close(page)
}

await picture('live', '/')
await picture('alerts', '/alerts', (page) => page.getByRole('button', { name: /^Why this alert/ }).first().click())
await picture('people', '/people', (page) => page.locator('main a[href*="/people/"]').first().click())
await picture('strangers', '/strangers')
await picture('search', '/search', async (page) => {
  const { strangers } = await api('GET', '/strangers?named=false&limit=1')
  const picture = Buffer.from(await (await fetch(base + strangers[0].best.crop)).arrayBuffer())
  await page.locator('input[type=file]').setInputFiles({ name: 'somebody.jpg', mimeType: 'image/jpeg', buffer: picture })
  await page.getByRole('heading', { name: 'Strangers who look like this' }).waitFor()
})
await picture('ledger', '/ledger')
await picture('rules', '/rules', (page) => page.locator('main a[href*="/rules/"]').first().click())
await picture('system', '/system')
await picture('dead-letters', '/dead-letters')
// The browser would keep this program running; it ends with it.
process.exit()
