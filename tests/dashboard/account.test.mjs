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
  const openCount = async () => (await api('GET', '/dead-letters?state=open&limit=1')).openCount

  it('are shown with their reason, replayed and dropped', async () => {
    await withPage('/dead-letters', {}, async (page) => {
      const before = await openCount()
      await sendBrokenFrame()
      await eventually('the dead letter', async () => (await openCount()) > before)
      const row = page.locator('.row', { hasText: 'broken-camera' }).first()
      await row.waitFor()
      await row.getByRole('button', { name: /^Show dead letter/ }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('link', { name: 'Download the original bytes' }).waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await row.getByRole('checkbox').check()
      await page.getByRole('button', { name: 'Replay 1' }).click()
      await dialog.getByRole('button', { name: 'Replay' }).click()
      await page.getByText('1 frame replayed').waitFor()
      // It fails again and comes back as a new one.
      await eventually('the dead letter again', async () => (await openCount()) > before)
      await page.getByLabel('State').selectOption('replayed')
      await settled(page)
      await page.locator('.row', { hasText: 'Replayed' }).first().waitFor()
      await page.getByLabel('State').selectOption('open')
      await row.getByRole('checkbox').check()
      await page.getByRole('button', { name: 'Drop 1' }).click()
      await dialog.getByRole('button', { name: 'Drop' }).click()
      await page.getByText('1 frame dropped').waitFor()
      await eventually('nothing more is open', async () => (await openCount()) === before)
    })
  })
})
