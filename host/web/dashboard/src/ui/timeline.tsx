/** Visits on a line of time, one row for each camera. */
import type { Sighting } from '../api/types'
import { axisTime, dateTime, t } from '../i18n'

const WIDTH = 1000
const ROW = 22
const MARKS = 5

/** The least width of a visit, in thousandths of the line: a short one must be seen. */
const LEAST = 4

export interface Row {
  camera: string
  bars: { id: string; x: number; width: number; sighting: Sighting }[]
}

/** Places each sighting between `since` and `until`, in thousandths of the line. */
export function placeSightings(sightings: Sighting[], since: number, until: number): Row[] {
  const rows = new Map<string, Row>()
  const scale = (time: number) => (WIDTH * (time - since)) / Math.max(until - since, 1)
  for (const sighting of sightings) {
    if (sighting.to < since || sighting.from > until) continue
    const start = Math.max(scale(sighting.from), 0)
    const end = Math.min(scale(sighting.to), WIDTH)
    const width = Math.max(end - start, LEAST)
    const row = rows.get(sighting.camera) ?? { camera: sighting.camera, bars: [] }
    rows.set(sighting.camera, row)
    row.bars.push({ id: sighting.id, x: Math.min(start, WIDTH - width), width, sighting })
  }
  return [...rows.values()].sort((a, b) => a.camera.localeCompare(b.camera, undefined, { numeric: true }))
}

export function Timeline({ sightings, since, until }: { sightings: Sighting[]; since: number; until: number }) {
  const rows = placeSightings(sightings, since, until)
  if (rows.length === 0) return <p class="muted">{t('timeline.empty')}</p>
  const span = until - since
  return (
    <figure class="timeline" role="img" aria-label={t('timeline.label', { count: sightings.length, from: dateTime(since), to: dateTime(until) })}>
      {rows.map((row) => (
        <div class="timeline-row" key={row.camera}>
          <span class="timeline-camera">{row.camera}</span>
          <svg viewBox={`0 0 ${WIDTH} ${ROW}`} preserveAspectRatio="none">
            <line x1="0" x2={WIDTH} y1={ROW / 2} y2={ROW / 2} />
            {row.bars.map((bar) => (
              <rect key={bar.id} x={bar.x} y={4} width={bar.width} height={ROW - 8}>
                <title>{`${row.camera}: ${dateTime(bar.sighting.from)} – ${dateTime(bar.sighting.to)}`}</title>
              </rect>
            ))}
          </svg>
        </div>
      ))}
      <div class="timeline-axis" aria-hidden="true">
        {Array.from({ length: MARKS }, (_, i) => (
          <span key={i}>{axisTime(since + (span * i) / (MARKS - 1), span)}</span>
        ))}
      </div>
    </figure>
  )
}
