/** A list of visits, and the visits of one person or stranger with a line of time. */
import { useState } from 'preact/hooks'
import { usePages, useThrottledEvent } from '../api/resource'
import type { Sighting, Sightings } from '../api/types'
import { shortId } from '../faces'
import { dateTime, duration, now, t, type Key } from '../i18n'
import { address } from '../router'
import { Ago, Button, Loaded, Pager, Section, Select } from './controls'
import { Crop } from './crop'
import { Similarity } from './face-card'
import { openResult } from './result-dialog'
import { Timeline } from './timeline'

export function SightingList({ sightings, withName }: { sightings: Sighting[]; withName?: boolean }) {
  return (
    <ul class="rows">
      {sightings.map((sighting) => (
        <li key={sighting.id} class="row">
          <Crop src={sighting.best.crop} alt="" size="small" />
          <div class="row-main">
            <p>
              {withName && (
                <>
                  <SightingName sighting={sighting} /> ·{' '}
                </>
              )}
              <a href={address('cameras', sighting.camera)}>{sighting.camera}</a>
            </p>
            <p class="muted">
              {dateTime(sighting.from)} · {duration(sighting.to - sighting.from)} · {t('sighting.frames', { count: sighting.frames })}
            </p>
          </div>
          {sighting.similarity != null && <Similarity value={sighting.similarity} />}
          <span class="muted row-time">
            <Ago time={sighting.to} />
          </span>
          <Button small kind="quiet" label={t('sighting.openAt', { camera: sighting.camera, time: dateTime(sighting.from) })} onClick={() => openResult(sighting.best.position)}>
            {t('sighting.open')}
          </Button>
        </li>
      ))}
    </ul>
  )
}

function SightingName({ sighting }: { sighting: Sighting }) {
  if (sighting.person) return <a href={address('people', sighting.person)}>{sighting.name ?? sighting.person}</a>
  if (sighting.stranger) return <a href={address('strangers', sighting.stranger)}>{t('face.strangerId', { id: shortId(sighting.stranger) })}</a>
  return <>{t('face.stranger')}</>
}

const HOUR = 3_600_000
const spans: { value: string; key: Key; length: number }[] = [
  { value: '1h', key: 'span.hour', length: HOUR },
  { value: '24h', key: 'span.day', length: 24 * HOUR },
  { value: '7d', key: 'span.week', length: 7 * 24 * HOUR },
  { value: '30d', key: 'span.month', length: 30 * 24 * HOUR },
]

export function Visits({ of }: { of: { person: string } | { stranger: string } }) {
  const [span, setSpan] = useState('24h')
  const { length } = spans.find((one) => one.value === span)!
  // To the minute: otherwise each rendering would ask again.
  const [until] = useState(() => Math.ceil(now.peek() / 60_000) * 60_000)
  const visits = usePages<Sightings>('/sightings', { ...of, since: until - length, limit: 100 })
  useThrottledEvent('sighting', visits.reload, 3000)
  return (
    <Section
      title={t('visits.title')}
      actions={<Select label={t('visits.span')} hideLabel value={span} options={spans.map(({ value, key }) => ({ value, text: t(key) }))} onChange={setSpan} />}
    >
      <Loaded of={visits}>
        {(data) => (
          <>
            <Timeline sightings={data.sightings} since={until - length} until={Math.max(until, now.value)} />
            <SightingList sightings={data.sightings} />
          </>
        )}
      </Loaded>
      <Pager pages={visits} label={t('visits.title')} />
    </Section>
  )
}
