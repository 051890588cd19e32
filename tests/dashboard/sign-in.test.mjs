// A server that asks for tokens: a second one, beside the system under test and on the same brokers.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { api, eventually, open, still, violations, withPage } from './support.mjs'

const program = process.env.EVERYFRAME_PROGRAM

describe('signing in', { skip: program ? false : 'EVERYFRAME_PROGRAM, the path of the everyframe binary, is not set' }, () => {
  let folder, server, url
  const tokens = {}

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everyframe-sign-in-'))
    const config = join(folder, 'everyframe.toml')
    let tables = ''
    for (const role of ['view', 'admin']) {
      const made = spawnSync(program, ['token', `somebody-${role}`, '--role', role], { encoding: 'utf8' })
      assert.equal(made.status, 0, made.stderr)
      tables += made.stdout
      tokens[role] = made.stderr.match(/[0-9a-f]{64}/)[0]
    }
    // What the system under test encrypts needs its keys.
    const own = ['gallery', 'keys', 'strangers', 'trail'].map((topic) => `${topic} = "sign-in.${topic}"\n`)
    writeFileSync(config, `${tables}\n[topics]\n${own.join('')}`)
    const { brokers } = await api('GET', '/system')
    server = spawn(program, ['serve', '--config', config, '--brokers', brokers, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [server.stdout, server.stderr]) stream.on('data', (data) => (output += data))
    url = await eventually('the server tells its address', () => {
      assert.equal(server.exitCode, null, output)
      return output.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0]
    })
  })

  after(() => {
    server?.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })

  it('refuses a wrong token and says so', async () => {
    await withPage('/alerts', { url }, async (page) => {
      assert.deepEqual(await violations(page), [])
      await page.getByLabel('Token').fill('wrong')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('This token is not valid').waitFor()
    })
  })

  it('leads to the page that was asked for, and out again', async () => {
    await withPage('/alerts', { url }, async (page) => {
      await page.getByLabel('Token').fill(tokens.admin)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor()
      await page.getByText('somebody-admin').waitFor()
      await page.reload()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor()
      await page.reload()
      await page.getByLabel('Token').waitFor()
    })
  })

  it('offers a person who may only look nothing to change', async () => {
    const enrolled = await fetch(`${url}/api/v1/people/ada/samples?name=Ada`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.admin}`, 'content-type': 'image/jpeg' },
      body: readFileSync(still('person_a_1')),
    })
    assert.equal(enrolled.status, 201, await enrolled.text())
    const page = await open('/people', { url })
    await page.getByLabel('Token').fill(tokens.view)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('.person-card').first().waitFor()
    assert.equal(await page.getByRole('button', { name: /Enrol|Merge/ }).count(), 0)
    await page.goto(`${url}/ledger`)
    await page.getByText('accounted for').waitFor()
    assert.equal(await page.getByRole('button', { name: 'Audit now' }).count(), 0)
    await page.context().close()
  })
})
