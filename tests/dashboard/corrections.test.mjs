import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, saveReceipt, settled, violations, withPage } from './support.mjs'

const path = ({ partition, offset }) => `${partition}/${offset}`

describe('corrections', () => {
  it('say that a face is not this person, and take it back', async () => {
    const known = await eventually('a known face', async () => (await api('GET', '/sightings?limit=50')).sightings.find((one) => one.kind === 'known'), 100)
    await withPage(`/?result=${path(known.best.position)}`, {}, async (page) => {
      await page.getByRole('button', { name: 'Not this person' }).first().click()
      const dialog = page.getByRole('dialog').last()
      await dialog.getByText('are no longer taken for').waitFor()
      assert.deepEqual(await violations(page), [])
      await dialog.getByRole('button', { name: 'Not this person' }).click()
      await eventually('the negative sample', async () => (await api('GET', `/people/${known.person}`)).negativeSamples.length === 1)
      await page.goto(new URL(`/people/${known.person}`, page.url()).href)
      const section = page.locator('section', { has: page.getByRole('heading', { name: /^Not / }) })
      await section.getByRole('button', { name: 'Remove picture 1' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
      await section.waitFor({ state: 'detached' })
      assert.equal((await api('GET', `/people/${known.person}`)).negativeSamples.length, 0)
    })
  })

  it('forget a stranger, and ask before they merge or split one', async () => {
    const stranger = await eventually('a stranger', async () => (await api('GET', '/strangers?named=false&limit=1')).strangers[0], 100)
    await withPage(`/strangers/${encodeURIComponent(stranger.id)}`, {}, async (page) => {
      for (const name of ['Merge', 'Split']) {
        await page.getByRole('button', { name, exact: true }).click()
        const dialog = page.getByRole('dialog')
        await dialog.getByRole('group').waitFor()
        assert.deepEqual(await violations(page), [])
        assert.ok(await dialog.getByRole('button', { name, exact: true }).isDisabled(), 'nothing is chosen yet')
        await dialog.getByRole('button', { name: 'Cancel' }).click()
        await dialog.waitFor({ state: 'detached' })
      }
      await page.getByRole('button', { name: 'Forget', exact: true }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Forget', exact: true }).click()
      await saveReceipt(page, /was forgotten$/)
      await page.getByRole('heading', { level: 1, name: 'Strangers' }).waitFor()
    })
    const { sightings } = await api('GET', `/sightings?stranger=${encodeURIComponent(stranger.id)}`)
    assert.ok(sightings.every((one) => one.from > stranger.lastSeenAt), 'what was seen before is forgotten')
  })

  it('mute alerts, which no longer count as open, and end it', async () => {
    await eventually('an alert that is open', async () => (await api('GET', '/alerts?open=true&limit=1')).alerts[0], 100)
    await withPage('/alerts', {}, async (page) => {
      await settled(page)
      await page.getByRole('button', { name: /^Mute alerts like: / }).first().click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('Which alerts').waitFor()
      assert.deepEqual(await violations(page), [])
      await dialog.getByLabel('For how long').selectOption('15')
      await dialog.getByRole('button', { name: 'Mute' }).click()
      const mutes = page.getByRole('list', { name: 'Muted now' })
      await mutes.getByText(/^Muted: /).waitFor()
      assert.equal((await api('GET', '/mutes')).mutes.length, 1)
      await mutes.getByRole('button', { name: /^End the mute/ }).click()
      await mutes.waitFor({ state: 'detached' })
      assert.equal((await api('GET', '/mutes')).mutes.length, 0)
    })
  })
})
