import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { api, base, eventually, forget, saveReceipt, settled, still, withPage } from './support.mjs'

const names = { ada: 'Ada Test Lovelace', renamed: 'Ada Test Byron', grace: 'Grace Test Hopper', other: 'Grace Test Murray', stranger: 'Stranger Test Named' }
const cleanUp = async () => {
  for (const name of Object.values(names)) await forget(name)
}

async function enrol(page, name, ...stills) {
  await page.getByRole('button', { name: 'Enrol a person' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name', { exact: true }).fill(name)
  await dialog.locator('input[type=file]').setInputFiles(stills.map(still))
  await dialog.getByRole('button', { name: 'Enrol' }).click()
  await finish(page, page.getByRole('heading', { level: 1, name }))
}

/** Waits for `end`. With remarks about the pictures, the dialog waits for one more click; so it does if somebody else looks like this. */
async function finish(page, end) {
  const dialog = page.getByRole('dialog')
  const anyway = dialog.getByLabel('It is somebody else: enrol anyway')
  const done = dialog.getByRole('button', { name: 'Done' })
  await end.or(anyway).or(done).first().waitFor()
  if (await anyway.isVisible()) {
    await anyway.check()
    await dialog.getByRole('button', { name: 'Enrol' }).click()
    await end.or(done).first().waitFor()
  }
  if (await done.isVisible()) await done.click()
  await end.waitFor()
}

describe('people', () => {
  before(cleanUp)
  after(cleanUp)

  it('are enrolled by upload, found, renamed and erased', async () => {
    await withPage('/people', {}, async (page) => {
      await enrol(page, names.ada, 'person_a_1')
      await page.getByRole('button', { name: 'Rename' }).click()
      await page.getByLabel('Name', { exact: true }).fill(names.renamed)
      await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click()
      await page.getByRole('heading', { level: 1, name: names.renamed }).waitFor()
      await page.getByRole('link', { name: 'All people' }).click()
      await page.getByLabel('Search by name').fill('test byron')
      await eventually('one card', async () => (await page.locator('.person-card').count()) === 1)
      await page.getByRole('link', { name: names.renamed }).click()
      await page.getByRole('button', { name: 'Erase' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Erase' }).click()
      await saveReceipt(page, names.renamed)
      await page.getByRole('heading', { level: 1, name: 'People' }).waitFor()
      await eventually('the person is gone', async () => (await api('GET', '/people?query=test%20byron')).people.length === 0)
    })
  })

  it('get more pictures, and lose one', async () => {
    await withPage('/people', {}, async (page) => {
      await enrol(page, names.ada, 'person_a_1')
      await page.getByText('1 enrolled picture').waitFor()
      await page.getByRole('button', { name: 'Add pictures' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.locator('input[type=file]').setInputFiles([still('person_a_2'), still('person_b_1')])
      await dialog.getByRole('button', { name: 'Remove person_b_1.jpg' }).click()
      await dialog.getByRole('button', { name: 'Enrol' }).click()
      await finish(page, page.getByText('2 enrolled pictures'))
      await page.getByRole('button', { name: 'Remove picture 2' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
      await page.getByText('1 enrolled picture').waitFor()
    })
    await forget(names.ada)
  })

  it('are told why a picture is refused', async () => {
    await withPage('/people', {}, async (page) => {
      await page.getByRole('button', { name: 'Enrol a person' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Name', { exact: true }).fill(names.ada)
      // A white square: no face.
      const picture = await page.evaluate(async () => {
        const canvas = new OffscreenCanvas(400, 400)
        const context = canvas.getContext('2d')
        context.fillStyle = 'white'
        context.fillRect(0, 0, 400, 400)
        const blob = await canvas.convertToBlob({ type: 'image/jpeg' })
        return [...new Uint8Array(await blob.arrayBuffer())]
      })
      await dialog.locator('input[type=file]').setInputFiles({ name: 'white.jpg', mimeType: 'image/jpeg', buffer: Buffer.from(picture) })
      await dialog.getByRole('button', { name: 'Enrol' }).click()
      await dialog.getByText('white.jpg:').waitFor()
      await dialog.getByText('0 pictures were enrolled.').waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await dialog.waitFor({ state: 'detached' })
    })
  })

  it('are merged by keyboard', async () => {
    await withPage('/people', {}, async (page) => {
      await enrol(page, names.grace, 'person_b_1')
      await page.goto(new URL('/people', page.url()).href)
      await enrol(page, names.other, 'person_b_2')
      await page.goto(new URL('/people?query=grace%20test', page.url()).href)
      await page.getByRole('button', { name: `Merge ${names.other} with another person` }).press('Enter')
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Merge into').fill('Grace Test Hop')
      await dialog.getByRole('button', { name: new RegExp(names.grace) }).press('Enter')
      await dialog.getByRole('button', { name: 'Merge' }).press('Enter')
      await dialog.waitFor({ state: 'detached' })
      const { people } = await eventually('one person', async () => {
        const answer = await api('GET', '/people?query=grace%20test')
        return answer.people.length === 1 ? answer : undefined
      })
      assert.deepEqual([people[0].name, people[0].samples], [names.grace, 2])
    })
    await forget(names.grace)
  })

  it('are merged by dragging one card on another', async () => {
    await withPage('/people', {}, async (page) => {
      await enrol(page, names.grace, 'person_b_1')
      await page.goto(new URL('/people', page.url()).href)
      await enrol(page, names.other, 'person_b_2')
      await page.goto(new URL('/people?query=grace%20test', page.url()).href)
      const card = (name) => page.locator('.person-card', { hasText: name })
      await card(names.other).dragTo(card(names.grace))
      const dialog = page.getByRole('dialog')
      await dialog.getByText(`All pictures of ${names.other} move to ${names.grace}`).waitFor()
      await dialog.getByRole('button', { name: 'Merge' }).click()
      await dialog.waitFor({ state: 'detached' })
      await eventually('one card', async () => (await page.locator('.person-card').count()) === 1)
    })
    await forget(names.grace)
  })

  it('have a page with their visits', async () => {
    const known = await eventually('a person whom a camera has seen', async () => (await api('GET', '/people')).people.find((person) => person.lastSeen))
    await withPage(`/people/${encodeURIComponent(known.id)}`, {}, async (page) => {
      await page.getByRole('heading', { name: 'Visits' }).waitFor()
      await page.locator('.timeline rect').first().waitFor()
      await page.getByLabel('Time').selectOption('1h')
      await settled(page)
      await page.getByRole('button', { name: /^Frame of the visit/ }).first().click()
      await page.getByRole('dialog').getByText('How it was judged').waitFor()
    })
  })
})

describe('strangers', () => {
  after(cleanUp)

  const aStranger = () => eventually('a stranger', async () => (await api('GET', '/strangers?named=false&limit=1')).strangers[0])

  it('are enrolled with two clicks and a name', async () => {
    const stranger = await aStranger()
    await withPage('/strangers', {}, async (page) => {
      await page.getByRole('button', { name: /^Who is / }).first().click()
      await page.getByRole('dialog').waitFor()
      // The field for the name has the focus.
      await page.keyboard.type(names.stranger)
      await page.getByRole('dialog').getByRole('button', { name: 'Enrol' }).click()
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      const { people } = await api('GET', `/people?query=${encodeURIComponent(names.stranger)}`)
      assert.equal(people.length, 1)
      // With their name, strangers appear only on demand.
      await page.getByLabel('Also show those with a name').click()
      await page.locator('.person-card', { hasText: names.stranger }).first().waitFor()
    })
    await withPage(`/strangers/${encodeURIComponent(stranger.id)}`, {}, async (page) => {
      await page.getByRole('heading', { name: 'Visits' }).waitFor()
    })
  })

  it('have a page with their visits and their best frame', async () => {
    const stranger = await eventually('a stranger', async () => (await api('GET', '/strangers?limit=1')).strangers[0])
    await withPage(`/strangers/${encodeURIComponent(stranger.id)}`, {}, async (page) => {
      await page.locator('.timeline rect').first().waitFor()
      await page.getByRole('button', { name: 'Best frame' }).click()
      await page.getByRole('dialog').getByText('How it was judged').waitFor()
    })
  })

  it('are filtered by camera and time', async () => {
    const stranger = await eventually('a stranger', async () => (await api('GET', '/strangers?limit=1')).strangers[0])
    await withPage('/strangers?named=true', {}, async (page) => {
      await page.getByLabel('Camera').selectOption(stranger.cameras[0])
      await page.getByLabel('Seen in the').selectOption('24h')
      await settled(page)
      await page.locator('.person-card').first().waitFor()
      for (const text of await page.locator('.person-card').allInnerTexts()) assert.ok(text.includes(stranger.cameras[0]), text)
    })
  })
})

describe('search', () => {
  it('finds the face of a picture and says who it is', async () => {
    await withPage('/search', {}, async (page) => {
      await page.locator('input[type=file]').setInputFiles(still('person_a_1'))
      await page.getByRole('heading', { name: '1 face found' }).waitFor()
      await page.locator('.stage rect.face').waitFor()
      await page.getByRole('heading', { name: 'Where all of these were seen' }).waitFor()
    })
  })

  it('finds the stranger of a picture', async () => {
    const stranger = await eventually('a stranger', async () => (await api('GET', '/strangers?named=false&limit=1')).strangers[0])
    const picture = Buffer.from(await (await fetch(base + stranger.best.crop)).arrayBuffer())
    await withPage('/search', {}, async (page) => {
      await page.locator('input[type=file]').setInputFiles({ name: 'stranger.jpg', mimeType: 'image/jpeg', buffer: picture })
      await page.getByRole('heading', { name: 'Strangers who look like this' }).waitFor()
      await page.locator(`a[href="/strangers/${encodeURIComponent(stranger.id)}"]`).first().click()
      await page.getByRole('heading', { name: 'Visits' }).waitFor()
    })
  })

  it('refuses a file that is no picture', async () => {
    await withPage('/search', {}, async (page) => {
      await page.locator('input[type=file]').setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('notes') })
      await page.getByText('Only JPEG, PNG and WebP').waitFor()
    })
  })
})
