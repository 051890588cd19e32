// Every page in both themes, on a phone and in German: no violation of axe, nothing wider than the screen.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, pages, settled, violations, withPage } from './support.mjs'

/** All pages, with one page of each kind that shows a single thing. */
async function addresses() {
  const { cameras } = await api('GET', '/cameras')
  const { people } = await api('GET', '/people')
  const { strangers } = await eventually('a stranger', async () => {
    const answer = await api('GET', '/strangers?named=true')
    return answer.strangers.length ? answer : undefined
  })
  const place = (...parts) => '/' + parts.map(encodeURIComponent).join('/')
  const { partition, offset } = cameras[0].last.position
  return [...pages, place('cameras', cameras[0].id), place('people', people[0].id), place('strangers', strangers[0].id), `/?result=${partition}/${offset}`, '/no/such/page']
}

describe('every page', () => {
  for (const colorScheme of ['light', 'dark']) {
    it(`has no violation of axe when it is ${colorScheme}`, async () => {
      for (const path of await addresses()) {
        await withPage(path, { colorScheme }, async (page) => {
          await settled(page)
          assert.deepEqual(await violations(page), [], path)
        })
      }
    })
  }

  it('fits a phone, without violations', async () => {
    for (const path of await addresses()) {
      await withPage(path, { width: 360, height: 740 }, async (page) => {
        await settled(page)
        const width = await page.evaluate(() => document.documentElement.scrollWidth)
        assert.ok(width <= 360, `${path} is ${width} pixels wide`)
        assert.deepEqual(await violations(page), [], path)
      })
    }
  })

  it('has one main heading and landmarks', async () => {
    for (const path of pages) {
      await withPage(path, {}, async (page) => {
        assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1, path)
        for (const landmark of ['banner', 'navigation', 'main']) assert.ok(await page.getByRole(landmark).first().isVisible(), `${path} has no ${landmark}`)
      })
    }
  })
})

describe('settings', () => {
  it('speak German to a German browser', async () => {
    await withPage('/ledger', { locale: 'de-DE' }, async (page) => {
      await page.getByText(/Bild(er)? angekommen/).waitFor()
      assert.equal(await page.locator('html').getAttribute('lang'), 'de')
      for (const path of pages) {
        await page.goto(new URL(path, page.url()).href)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await settled(page)
        assert.deepEqual(await violations(page), [], path)
        // A key without a message would appear as itself.
        assert.doesNotMatch(await page.locator('body').innerText(), /\b(nav|action|live|alerts|people|ledger|letters|system|rules|search|strangers)\.[a-z]/, path)
      }
    })
  })

  it('keep the language and the theme that were chosen', async () => {
    await withPage('/', {}, async (page) => {
      await page.getByLabel('Language').selectOption('de')
      await page.getByRole('link', { name: 'Bilanz' }).waitFor()
      await page.getByLabel('Farben').selectOption('dark')
      await page.reload()
      await page.getByRole('link', { name: 'Bilanz' }).waitFor()
      assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark')
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      const [red] = background.match(/\d+/)
      assert.ok(Number(red) < 60, background)
    })
  })
})

describe('the keyboard', () => {
  it('skips to the content', async () => {
    await withPage('/alerts', {}, async (page) => {
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      assert.equal(await page.evaluate(() => document.activeElement.id), 'main')
    })
  })

  it('follows a link to the heading of the new page', async () => {
    await withPage('/alerts', {}, async (page) => {
      await page.getByRole('link', { name: 'Rules' }).focus()
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { level: 1, name: 'Rules' }).waitFor()
      await eventually('the heading has the focus', () => page.evaluate(() => document.activeElement.tagName === 'H1'))
    })
  })

  it('opens the menu of a phone', async () => {
    await withPage('/', { width: 360, height: 740 }, async (page) => {
      const people = page.getByRole('link', { name: 'People' })
      assert.ok(!(await people.isVisible()))
      await page.getByRole('button', { name: 'Menu' }).press('Enter')
      await people.press('Enter')
      await page.getByRole('heading', { level: 1, name: 'People' }).waitFor()
      assert.ok(!(await people.isVisible()))
    })
  })
})
