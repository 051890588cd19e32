import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, settled, withPage } from './support.mjs'

const anAlert = () => eventually('an alert that is open', async () => (await api('GET', '/alerts?open=true&limit=1')).alerts[0], 100)

describe('alerts', () => {
  it('are acknowledged with a comment, and opened again', async () => {
    await anAlert()
    await withPage('/alerts?open=true', {}, async (page) => {
      await settled(page)
      const id = (await anAlert()).id
      const comment = `expected, checked ${Date.now()}`
      await page.getByRole('button', { name: /^Acknowledge: / }).first().click()
      await page.getByLabel('Comment (optional)').fill(comment)
      await page.getByRole('dialog').getByRole('button', { name: 'Acknowledge' }).click()
      const card = page.locator('.alert-card', { hasText: comment })
      await card.waitFor()
      const { alerts } = await api('GET', '/alerts?limit=500')
      const acknowledged = alerts.find((alert) => alert.acknowledged?.comment === comment)
      assert.ok(acknowledged, `${id} has no acknowledgement`)
      await card.getByRole('button', { name: 'Open again' }).click()
      await card.waitFor({ state: 'detached' })
      const after = (await api('GET', '/alerts?limit=500')).alerts.find((alert) => alert.id === acknowledged.id)
      assert.equal(after.acknowledged, null)
    })
  })

  it('are not acknowledged when the dialog is cancelled', async () => {
    await anAlert()
    await withPage('/alerts?open=true', {}, async (page) => {
      await page.getByRole('button', { name: /^Acknowledge: / }).first().click()
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
      await page.getByRole('dialog').waitFor({ state: 'detached' })
    })
  })

  it('explain why, with candidates and similarities', async () => {
    await anAlert()
    await withPage('/alerts', {}, async (page) => {
      await page.getByRole('button', { name: /^Why this alert\?/ }).first().click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('How it was judged').waitFor()
      assert.match(page.url(), /result=\d+/)
      await page.goBack()
      await dialog.waitFor({ state: 'detached' })
      await page.goForward()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await dialog.waitFor({ state: 'detached' })
    })
  })

  it('are filtered by camera, rule and severity, and the address keeps it', async () => {
    const alert = await anAlert()
    await withPage('/alerts', {}, async (page) => {
      await page.getByLabel('Camera').selectOption(alert.camera)
      await page.getByLabel('Rule').selectOption(alert.rule)
      await page.getByLabel('Severity').selectOption(alert.severity)
      await page.getByLabel('Not acknowledged').click()
      await page.reload()
      await settled(page)
      assert.equal(await page.getByLabel('Camera').inputValue(), alert.camera)
      assert.equal(await page.getByLabel('Severity').inputValue(), alert.severity)
      const cards = page.locator('.alert-card')
      await cards.first().waitFor()
      for (const text of await cards.allInnerTexts()) assert.ok(text.includes(alert.camera), text)
      assert.equal(await page.locator('.alert-card .acknowledged').count(), 0)
    })
  })
})
