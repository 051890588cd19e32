import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { api, eventually, settled, withPage } from './support.mjs'

describe('ledger', () => {
  it('says in one sentence that no frame is lost', async () => {
    await withPage('/ledger', {}, async (page) => {
      await page.getByText(/^[\d,]+ frames? in, [\d,]+ accounted for, lost 0, .+ behind, retention .+\.$/).waitFor()
    })
  })

  it('has a row for each camera and partition', async () => {
    const ledger = await api('GET', '/ledger')
    await withPage('/ledger', {}, async (page) => {
      for (const { camera } of ledger.cameras) await page.getByRole('rowheader', { name: camera, exact: true }).waitFor()
      const partitions = page.getByRole('region', { name: 'Partitions' }).locator('tbody tr')
      await eventually('all partitions', async () => (await partitions.count()) === ledger.partitions.length)
    })
  })

  it('audits on demand', async () => {
    await withPage('/ledger', {}, async (page) => {
      await page.getByRole('button', { name: 'Audit now' }).click()
      await page.getByText('Every frame is accounted for').waitFor({ timeout: 90_000 })
      await page.getByText(/frames counted, 0 lost/).waitFor()
    })
  })
})

describe('rules', () => {
  it('show kind, version and how many frames they judged', async () => {
    const { rules } = await api('GET', '/rules')
    assert.ok(rules.length >= 3)
    await withPage('/rules', {}, async (page) => {
      for (const { name } of rules) await page.getByRole('heading', { level: 2, name }).waitFor()
      for (const kind of ['Matching policy', 'Unknown-person rule', 'Alert rule']) await page.getByText(kind).first().waitFor()
    })
  })

  it('lead to the alerts that they raised', async () => {
    await withPage('/rules', {}, async (page) => {
      await page.locator('a[href^="/alerts?rule="]').first().click()
      await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor()
      assert.match(page.url(), /rule=/)
    })
  })
})

describe('system', () => {
  it('shows hosts, partitions, models and draws two charts', async () => {
    const system = await api('GET', '/system')
    await withPage('/system', {}, async (page) => {
      await eventually('two charts', async () => (await page.locator('.chart canvas').count()) === 2)
      for (const { name } of system.models) await page.getByRole('rowheader', { name, exact: true }).waitFor()
      assert.equal(await page.getByRole('region', { name: 'Hosts' }).locator('tbody tr').count(), system.hosts.length)
    })
  })
})

/** Puts a record into the frames topic that is no picture. The API would refuse it; a camera's agent of somebody else may not. */
async function sendBrokenFrame() {
  const { brokers } = await api('GET', '/system')
  execFileSync('kcat', ['-P', '-b', brokers, '-t', 'frames', '-k', 'broken-camera'], { input: 'this is no picture', timeout: 20_000 })
}

describe('dead letters', () => {
  /** The newest open one of the broken camera: as text, the place of its letter. */
  const newest = async () => {
    const { deadLetters } = await api('GET', '/dead-letters?state=open&camera=broken-camera&limit=1')
    return deadLetters[0] && `${deadLetters[0].place.partition}/${deadLetters[0].place.offset}`
  }

  it('are shown with their reason, replayed and dropped', async () => {
    await withPage('/dead-letters', {}, async (page) => {
      const former = await newest()
      await sendBrokenFrame()
      const first = await eventually('the dead letter', async () => ((await newest()) !== former ? newest() : undefined))
      const row = (place) => page.locator('.row', { has: page.getByRole('button', { name: `Show dead letter ${place}`, exact: true }) })
      const dialog = page.getByRole('dialog')
      await row(first).getByText('broken-camera').waitFor()
      await row(first).getByRole('button').click()
      await dialog.getByRole('link', { name: 'Download the original bytes' }).waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await row(first).getByRole('checkbox').check()
      await page.getByRole('button', { name: 'Replay 1' }).click()
      await dialog.getByRole('button', { name: 'Replay' }).click()
      await page.getByText('1 frame replayed').waitFor()
      // It fails again and comes back as a new one.
      const second = await eventually('the dead letter again', async () => (![first, former].includes(await newest()) ? newest() : undefined))
      await row(second).getByRole('checkbox').check()
      await page.getByRole('button', { name: 'Drop 1' }).click()
      await dialog.getByRole('button', { name: 'Drop' }).click()
      await page.getByText('1 frame dropped').waitFor()
      await row(second).waitFor({ state: 'detached' })
      // A dropped one that is older than all open ones is deleted, so it may not be listed any more.
      await page.getByLabel('State').selectOption('dropped')
      await settled(page)
      for (const text of await page.locator('.row').allInnerTexts()) assert.match(text, /Dropped/)
    })
  })

  it('are replayed and dropped all at once', async () => {
    await sendBrokenFrame()
    await eventually('a dead letter', newest)
    await withPage('/dead-letters', {}, async (page) => {
      const dialog = page.getByRole('dialog')
      await page.getByLabel('Select all on this page').check()
      await page.getByLabel('Select all on this page').uncheck()
      await page.getByRole('button', { name: 'Replay all' }).click()
      await dialog.getByRole('button', { name: 'Cancel' }).click()
      await page.getByRole('button', { name: 'Drop all' }).click()
      await dialog.getByRole('button', { name: 'Drop' }).click()
      await page.getByText('No dead letters').waitFor()
      assert.equal(await newest(), undefined)
    })
  })
})
