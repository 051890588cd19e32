import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, settled, violations, withPage } from './support.mjs'

/** The page of the demo's alert rule, once that has raised an alert. */
const alertRule = async () => {
  const { rules } = await eventually('an alert of a rule', async () => {
    const answer = await api('GET', '/rules')
    return answer.rules.some((rule) => rule.alerts > 0 && rule.kind === 'alerting') && answer
  })
  return rules.find((rule) => rule.kind === 'alerting')
}
const pageOf = (rule) => `/rules/${encodeURIComponent(rule.name)}`

/** Enters settings that raise an alert with every frame, and tries them. */
async function tryWithoutCoolDown(page) {
  await page.getByLabel('cooldown_ms').fill('0')
  await page.getByRole('button', { name: 'Try it on the last 24 h' }).click()
  await page.getByText(/^\d[\d,]* frames judged again/).waitFor({ timeout: 90_000 })
}

async function forgetReplays() {
  for (const { id } of (await api('GET', '/replays')).replays) await api('DELETE', `/replays/${id}`)
}

describe('a rule', () => {
  it('shows its health, its settings and its log', async () => {
    const rule = await alertRule()
    await withPage('/rules', {}, async (page) => {
      await page.getByRole('link', { name: rule.name, exact: true }).click()
      await page.getByRole('heading', { level: 1, name: rule.name }).waitFor()
      await page.getByText(/^[\d.,]+ ms \/ [\d.,]+ ms$/).waitFor()
      await page.getByText('Most memory of a call').waitFor()
      await page.getByLabel('cooldown_ms').waitFor()
      await page.getByRole('region', { name: 'Log' }).getByText('The rule has logged nothing since this process started.').waitFor()
    })
  })

  it('that does not exist says so', async () => {
    await withPage('/rules/nobody', {}, async (page) => {
      await page.getByText('This rule has judged no frame yet').waitFor()
      await page.getByRole('alert').getByText('the configuration has no rule of this name').waitFor()
    })
  })
})

describe('other settings', () => {
  it('are tried on past results: alerts with pictures, then the lines to put in force', async () => {
    const rule = await alertRule()
    await withPage(pageOf(rule), {}, async (page) => {
      await tryWithoutCoolDown(page)
      const group = page.locator('details', { hasText: 'would be raised' })
      const first = group.locator('.alert-card').first()
      await first.locator('img').waitFor()
      assert.ok(await eventually('the picture', () => first.locator('img').evaluate((img) => img.complete && img.naturalWidth > 0)))
      await page.getByRole('group', { name: 'Lines to put it in force' }).getByText('cooldown_ms = 0').waitFor()
      await first.getByRole('button', { name: /^Why/ }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
      // The answer is there after the page was left.
      await page.reload()
      await page.getByText(/^\d[\d,]* frames judged again/).waitFor()
      await page.getByRole('button', { name: 'Forget this answer' }).click()
      await page.getByText(/frames judged again/).waitFor({ state: 'detached' })
      assert.doesNotMatch(page.url(), /replay=/)
    })
    await forgetReplays()
  })

  it('change nothing that is in force', async () => {
    const rule = await alertRule()
    const before = await api('GET', `${pageOf(rule)}/settings`)
    await withPage(pageOf(rule), {}, async (page) => {
      await tryWithoutCoolDown(page)
      await page.getByRole('button', { name: 'As in the file' }).click()
      const configured = before.settings.cooldown_ms
      assert.equal(await page.getByLabel('cooldown_ms').inputValue(), configured === undefined ? '' : String(configured))
    })
    assert.deepEqual(await api('GET', `${pageOf(rule)}/settings`), before)
    await forgetReplays()
  })

  it('that are wrong are refused with their key', async () => {
    const rule = await alertRule()
    await withPage(pageOf(rule), {}, async (page) => {
      await page.getByLabel('people', { exact: true }).fill('{"anna": {"severity": "urgent"}}')
      await page.getByRole('button', { name: 'Try it on the last 24 h' }).click()
      await page.getByRole('alert').getByText(/settings\.people\.anna\.severity/).waitFor()
      await page.getByLabel('people', { exact: true }).fill('{"anna"')
      assert.equal(await page.locator('form').evaluate((form) => form.checkValidity()), false)
      await page.getByLabel('people', { exact: true }).fill('')
      await page.getByLabel('cooldown_ms').fill('-1')
      assert.equal(await page.locator('form').evaluate((form) => form.checkValidity()), false)
    })
    assert.deepEqual((await api('GET', '/replays')).replays, [])
  })

  it('are tried by keyboard, on the window that was chosen', async () => {
    const rule = await alertRule()
    await withPage(pageOf(rule), {}, async (page) => {
      await page.getByLabel('Past time').selectOption('1')
      await page.getByRole('button', { name: 'Try it on the last hour' }).waitFor()
      await page.getByLabel('cooldown_ms').fill('0')
      await page.getByLabel('cooldown_ms').press('Enter')
      await page.getByText(/^\d[\d,]* frames judged again/).waitFor({ timeout: 90_000 })
      const { replays } = await api('GET', '/replays')
      assert.ok(replays[0].to - replays[0].from < 2 * 3_600_000)
    })
    await forgetReplays()
  })

  it('have no violation of axe, and fit a phone in German', async () => {
    const rule = await alertRule()
    let address
    await withPage(pageOf(rule), {}, async (page) => {
      await tryWithoutCoolDown(page)
      await settled(page)
      assert.deepEqual(await violations(page), [], 'light')
      await page.emulateMedia({ colorScheme: 'dark' })
      assert.deepEqual(await violations(page), [], 'dark')
      address = new URL(page.url())
    })
    await withPage(address.pathname + address.search, { locale: 'de-DE', width: 360, height: 740 }, async (page) => {
      await page.getByText('Was es geändert hätte').waitFor()
      await settled(page)
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement
        return { scrollWidth, clientWidth }
      })
      assert.ok(scrollWidth <= clientWidth, `${scrollWidth} pixels wide`)
      assert.deepEqual(await violations(page), [], 'on a phone')
      assert.doesNotMatch(await page.locator('body').innerText(), /(?<!\[)\b(rules|trial)\.[a-z]/)
    })
    await forgetReplays()
  })
})
