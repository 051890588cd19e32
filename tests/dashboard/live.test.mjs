import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { api, eventually, startProxy, withPage } from './support.mjs'

/** The cameras that have a frame: of another, all frames may have become dead letters. */
const liveCameras = async () => (await api('GET', '/cameras')).cameras.filter((camera) => camera.last)

describe('live view', () => {
  it('shows each camera with its latest picture and the faces on it', async () => {
    const cameras = await liveCameras()
    await withPage('/', {}, async (page) => {
      for (const { id } of cameras) {
        const tile = page.locator('.tile', { hasText: id }).first()
        const picture = tile.locator('.stage > img')
        // Only pictures on screen are fetched.
        await tile.scrollIntoViewIfNeeded()
        await eventually(`a picture of ${id}`, () => picture.evaluate((image) => image.complete && image.naturalWidth > 0))
      }
      await page.locator('.tile rect.face').first().waitFor()
      assert.ok((await page.locator('.face-label').first().innerText()).length > 0)
    })
  })

  it('renews the pictures', async () => {
    await withPage('/', {}, async (page) => {
      const picture = page.locator('.tile:not(.silent) .stage > img').first()
      await eventually('a picture', () => picture.getAttribute('src'))
      const first = await picture.getAttribute('src')
      await eventually('another picture', async () => (await picture.getAttribute('src')) !== first)
    })
  })

  it('opens a camera in large, and goes on to the next by keyboard', async () => {
    await withPage('/', {}, async (page) => {
      await page.locator('.tile').first().click()
      const heading = page.getByRole('heading', { level: 1 })
      await page.getByRole('button', { name: 'Next camera' }).waitFor()
      const first = await heading.innerText()
      await page.keyboard.press('ArrowRight')
      await eventually('the next camera', async () => (await heading.innerText()) !== first)
      await page.getByRole('button', { name: 'Previous camera' }).click()
      await eventually('the first camera', async () => (await heading.innerText()) === first)
      await page.getByRole('button', { name: 'Next camera' }).click()
      await eventually('the next camera', async () => (await heading.innerText()) !== first)
      await page.keyboard.press('Escape')
      await page.getByRole('heading', { level: 1, name: 'Live' }).waitFor()
    })
  })

  it('inspects the frame that is on screen', async () => {
    const cameras = await liveCameras()
    await withPage(`/cameras/${encodeURIComponent(cameras[0].id)}`, {}, async (page) => {
      await page.getByRole('button', { name: 'Inspect this frame' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('How it was judged').waitFor()
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
    })
  })

  it('shows an alert as it comes', async () => {
    await withPage('/', {}, async (page) => {
      const feed = page.locator('.alert-feed li')
      const newest = async () => ((await feed.count()) ? feed.first().innerText() : '')
      const ids = async () => (await api('GET', '/alerts?limit=1')).alerts[0]
      const before = await ids()
      const alert = await eventually('a new alert', async () => {
        const latest = await ids()
        return latest && latest.id !== before?.id ? latest : undefined
      })
      await eventually('the alert is on screen', async () => (await newest()).includes(alert.text) || (await page.locator('.alert-feed').innerText()).includes(alert.text))
    })
  })
})

describe('a broken connection', () => {
  it('is told plainly, and heals by itself', async () => {
    const proxy = await startProxy()
    try {
      await withPage('/', { url: proxy.url }, async (page) => {
        const note = page.getByText('Connection lost')
        const picture = page.locator('.tile:not(.silent) .stage > img').first()
        await eventually('a picture', () => picture.getAttribute('src'))
        assert.ok(!(await note.isVisible()))
        proxy.cut()
        await note.waitFor()
        const last = await picture.getAttribute('src')
        const again = page.waitForResponse((answer) => answer.url().endsWith('/cameras') && answer.ok(), { timeout: 60_000 })
        proxy.restore()
        // Everything is loaded again, so nothing is missed.
        await again
        await note.waitFor({ state: 'detached', timeout: 60_000 })
        await eventually('new pictures', async () => (await picture.getAttribute('src')) !== last)
      })
    } finally {
      proxy.close()
    }
  })

  it('can be renewed at once by hand', async () => {
    const proxy = await startProxy()
    try {
      await withPage('/rules', { url: proxy.url }, async (page) => {
        await page.getByText('Live ·').waitFor()
        proxy.cut()
        const now = page.getByRole('button', { name: 'Connect now' })
        await now.waitFor()
        proxy.restore()
        // It may have healed by itself meanwhile.
        await now.click({ timeout: 2000 }).catch(() => {})
        await page.getByText('Live ·').waitFor()
      })
    } finally {
      proxy.close()
    }
  })
})
