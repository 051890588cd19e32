// The browser, the pages of the dashboard, and requests to the API beside it.
import axe from 'axe-core'
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { chromium } from 'playwright-core'

export const base = (process.env.EVERYFRAME_URL ?? '').replace(/\/$/, '')

/** Every page, by its address. */
export const pages = ['/', '/alerts', '/people', '/strangers', '/search', '/ledger', '/rules', '/system', '/dead-letters']

const cache = process.env.EVERYFRAME_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'everyframe')

/** A picture of a person, of those that the set-up downloads: person_a_1, person_a_2, person_b_1, person_b_2, impostor_1, impostor_2. */
export function still(name) {
  const file = join(cache, 'stills', `${name}.jpg`)
  assert.ok(existsSync(file), `${file} is missing: run make setup`)
  return file
}

let browser
/** Opens a page at `path`, with problems of its own collected: errors of scripts and broken rules of its content security policy. */
export async function open(path, { locale = 'en-GB', colorScheme = 'light', width = 1280, height = 900, url = base } = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  const context = await browser.newContext({ locale, colorScheme, reducedMotion: 'reduce', viewport: { width, height } })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  page.problems = []
  page.on('pageerror', (error) => page.problems.push(String(error)))
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) page.problems.push(message.text())
  })
  await page.goto(url + path)
  // Not by its role: behind a dialog it has none.
  await page.locator('h1').waitFor()
  return page
}

after(async () => {
  await browser?.close()
})

export async function close(page) {
  const { problems } = page
  await page.context().close()
  assert.deepEqual(problems, [])
}

/** Runs `test` with a page at `path`, and closes it. */
export async function withPage(path, options, test) {
  const page = await open(path, options)
  try {
    await test(page)
  } catch (error) {
    const shown = (await page.locator('body').innerText().catch(() => '')).replaceAll('\n', ' | ').slice(0, 2500)
    error.stack = `${error.stack}\n    on the page ${page.url()}, which shows: ${shown}`
    await page.context().close()
    throw error
  }
  await close(page)
}

/** Waits until the page has loaded what it shows. */
export async function settled(page) {
  await page.locator('main .loading').first().waitFor({ state: 'detached' })
}

/** The rules of axe that the page breaks, each with the first element that does. */
export async function violations(page) {
  // Evaluated by the browser's debugger, which the content security policy does not restrict.
  await page.evaluate(axe.source)
  const { violations: found } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  return found.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)} (${nodes[0].any[0]?.message ?? nodes[0].failureSummary})`)
}

/** A request to the API. `picture` is a Buffer. */
export async function api(method, path, { json, picture } = {}) {
  const headers = {}
  if (method !== 'GET') headers['x-csrf-token'] = (await (await fetch(`${base}/api/v1/session`)).json()).csrf
  if (json) headers['content-type'] = 'application/json'
  if (picture) headers['content-type'] = 'image/jpeg'
  const answer = await fetch(`${base}/api/v1${path}`, { method, headers, body: json ? JSON.stringify(json) : picture })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.status === 204 ? undefined : answer.json()
}

/** Removes a person whom a test may have left behind. */
export async function forget(name) {
  const { people } = await api('GET', `/people?query=${encodeURIComponent(name)}&limit=500`)
  for (const person of people) if (person.name === name) await api('DELETE', `/people/${encodeURIComponent(person.id)}`)
}

/** Saves the receipt of an erasure; its dialog's title contains `title`. */
export async function saveReceipt(page, title) {
  const dialog = page.getByRole('dialog', { name: title })
  const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('link', { name: 'Save the receipt' }).click()])
  const receipt = JSON.parse(await readFile(await download.path(), 'utf8'))
  assert.equal(download.suggestedFilename(), `receipt-${receipt.id}.json`)
  assert.deepEqual(await violations(page), [])
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await dialog.waitFor({ state: 'detached' })
}

/** Calls `probe` until it returns something true. */
export async function eventually(what, probe, seconds = 60) {
  const end = Date.now() + 1000 * seconds
  for (;;) {
    const value = await probe()
    if (value) return value
    assert.ok(Date.now() < end, `after ${seconds} s still not: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** A proxy in front of the server, whose connections can be cut. */
export async function startProxy() {
  const { hostname, port } = new URL(base)
  const sockets = new Set()
  let refusing = false
  const server = net.createServer((client) => {
    if (refusing) return client.destroy()
    const upstream = net.connect(Number(port), hostname)
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Cuts every connection and refuses new ones. */
    cut() {
      refusing = true
      for (const socket of sockets) socket.destroy()
    },
    restore() {
      refusing = false
    },
    close() {
      this.cut()
      server.close()
    },
  }
}
