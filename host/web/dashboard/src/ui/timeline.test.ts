import { describe, expect, it, vi } from 'vitest'
import type { Sighting } from '../api/types'

vi.mock('../i18n', () => ({}))
const { placeSightings } = await import('./timeline')

const sighting = (camera: string, from: number, to: number): Sighting => ({ id: `${camera} ${from}`, camera, kind: 'known', from, to, frames: 1, best: {} as Sighting['best'] })

describe('timeline', () => {
  it('places visits in proportion to their time', () => {
    const [row] = placeSightings([sighting('gate', 500, 750)], 0, 1000)
    expect(row!.bars[0]).toMatchObject({ x: 500, width: 250 })
  })

  it('has a row for each camera, in natural order', () => {
    const rows = placeSightings([sighting('gate 10', 0, 1), sighting('gate 2', 0, 1), sighting('gate 2', 5, 6)], 0, 10)
    expect(rows.map((row) => [row.camera, row.bars.length])).toEqual([['gate 2', 2], ['gate 10', 1]])
  })

  it('cuts visits at its ends and leaves out those outside', () => {
    const rows = placeSightings([sighting('a', -100, 200), sighting('b', 2000, 3000)], 0, 1000)
    expect(rows).toHaveLength(1)
    expect(rows[0]!.bars[0]).toMatchObject({ x: 0, width: 200 })
  })

  it('keeps a visit of no length visible and inside', () => {
    const bar = placeSightings([sighting('a', 1000, 1000)], 0, 1000)[0]!.bars[0]!
    expect(bar.width).toBeGreaterThan(0)
    expect(bar.x + bar.width).toBeLessThanOrEqual(1000)
  })
})
