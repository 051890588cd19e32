// Every page in both themes, on a phone and in German: no violation of axe, nothing wider than the screen.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, pages, settled, violations, withPage } from './support.mjs'

const place = (...parts) => '/' + parts.map(encodeURIComponent).join('/')

/** The address of a page that shows a single thing, by what it shows. */
const single = {
  'of a camera': async () => place('cameras', (await api('GET', '/cameras')).cameras.find((camera) => camera.last).id),
  'of a person': async () => place('people', (await api('GET', '/people')).people[0].id),
  'of a stranger': async () => place('strangers', (await eventually('a stranger', async () => (await api('GET', '/strangers')).strangers[0])).id),
  'of a result': async () => {
    const { alerts } = await eventually('an alert', async () => {
      const answer = await api('GET', '/alerts?rule=alerts&limit=1')
      return answer.alerts.length ? answer : undefined
    })
    return `/?result=${alerts[0].position.partition}/${alerts[0].position.offset}`
  },
  'that does not exist': () => '/no/such/page',
}

const everyPage = [...pages.map((path) => [path, () => path]), ...Object.entries(single)]

/** Fails if the page is wider than the screen. */
async function assertFits(page, path) {
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return { scrollWidth, clientWidth }
  })
  assert.ok(scrollWidth <= clientWidth, `${path} is ${scrollWidth} pixels wide`)
}

for (const [name, find] of everyPage) {
  describe(`the page ${name}`, () => {
    it('has no violation of axe: light, dark, on a phone', async () => {
      const path = await find()
      await withPage(path, {}, async (page) => {
        await settled(page)
        assert.deepEqual(await violations(page), [], `${path}, light`)
        await page.emulateMedia({ colorScheme: 'dark' })
        assert.deepEqual(await violations(page), [], `${path}, dark`)
        await page.setViewportSize({ width: 360, height: 740 })
        await assertFits(page, path)
        assert.deepEqual(await violations(page), [], `${path}, on a phone`)
      })
    })

    it('fits a phone in German, with every text translated', async () => {
      const path = await find()
      await withPage(path, { locale: 'de-DE', width: 360, height: 740 }, async (page) => {
        await settled(page)
        assert.equal(await page.locator('html').getAttribute('lang'), 'de')
        await assertFits(page, path)
        // A key without a message would appear as itself.
        assert.doesNotMatch(await page.locator('body').innerText(), /\b(nav|action|live|alerts|people|ledger|letters|system|rules|search|strangers)\.[a-z]/, path)
      })
    })
  })
}

describe('landmarks', () => {
  it('are on every page, with one main heading', async () => {
    for (const path of pages) {
      await withPage(path, {}, async (page) => {
        assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1, path)
        for (const landmark of ['banner', 'navigation', 'main']) assert.ok(await page.getByRole(landmark).first().isVisible(), `${path} has no ${landmark}`)
      })
    }
  })
})

describe('settings', () => {
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
      await people.waitFor({ state: 'hidden' })
    })
  })
})
