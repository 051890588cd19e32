/** Where the names of faces stand on a picture. */
import type { Box } from '../api/types'

export interface Label {
  index: number
  text: string
  /** Above the face's box, or below it. */
  above: boolean
  /** Ends at the box's right edge instead of beginning at its left one. */
  right: boolean
}

const HEIGHT = 20
/** The width of a letter and of the space round a label, in pixels: about that of the style sheet's font. */
const LETTER = 7
const PADDING = 12
/** The greatest width of a label; a longer name is cut. */
const MOST = 220

/**
 * Chooses a place for each label that covers no other label and no other face; the largest faces come first. A label without a place is left out: its
 * box stays, and the text below the picture has all names. `width` is that of the picture on screen, in pixels.
 */
export function placeLabels(faces: { index: number; bounds: Box; text: string }[], picture: { width: number; height: number }, width: number): Label[] {
  const scale = width / picture.width
  const taken: Box[] = []
  const labels: Label[] = []
  const bySize = [...faces].sort((a, b) => b.bounds.width * b.bounds.height - a.bounds.width * a.bounds.height)
  for (const { index, bounds, text } of bySize) {
    const length = Math.min(text.length * LETTER + PADDING, MOST)
    const right = (bounds.x + bounds.width / 2) / picture.width > 0.6
    const x = right ? (bounds.x + bounds.width) * scale - length : bounds.x * scale
    for (const above of [true, false]) {
      const y = above ? bounds.y * scale - HEIGHT : (bounds.y + bounds.height) * scale
      const place = { x, y, width: length, height: HEIGHT }
      const coversFace = faces.some((other) => other.index !== index && overlap(place, scaled(other.bounds, scale)))
      if (y < 0 || y + HEIGHT > picture.height * scale || coversFace || taken.some((other) => overlap(place, other))) continue
      taken.push(place)
      labels.push({ index, text, above, right })
      break
    }
  }
  return labels
}

function scaled({ x, y, width, height }: Box, scale: number): Box {
  return { x: x * scale, y: y * scale, width: width * scale, height: height * scale }
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}
