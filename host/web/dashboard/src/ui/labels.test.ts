import { describe, expect, it } from 'vitest'
import { placeLabels } from './labels'

const picture = { width: 1000, height: 500 }
const face = (index: number, x: number, y: number, size = 100) => ({ index, text: 'Anna', bounds: { x, y, width: size, height: size } })

describe('labels of faces', () => {
  it('stand above their face', () => {
    expect(placeLabels([face(0, 100, 200)], picture, 500)).toEqual([{ index: 0, text: 'Anna', above: true, right: false }])
  })

  it('stand below a face at the upper edge', () => {
    expect(placeLabels([face(0, 100, 10)], picture, 500)[0]!.above).toBe(false)
  })

  it('end at the right edge of a face on the right', () => {
    expect(placeLabels([face(0, 880, 200)], picture, 500)[0]!.right).toBe(true)
  })

  it('cover no other face', () => {
    const labels = placeLabels([face(0, 100, 200), face(1, 150, 80)], picture, 500)
    expect(labels.find((label) => label.index === 0)!.above).toBe(false)
  })

  it('never cover each other; the larger face comes first', () => {
    const labels = placeLabels([face(0, 300, 200, 60), face(1, 200, 200, 61)], picture, 300)
    expect(labels).toMatchObject([{ index: 1, above: true }, { index: 0, above: false }])
  })

  it('are left out where there is no room', () => {
    const labels = placeLabels([face(0, 300, 200, 60), face(1, 320, 120, 60), face(2, 320, 280, 60)], picture, 300)
    expect(labels.map((label) => label.index)).not.toContain(0)
  })
})
