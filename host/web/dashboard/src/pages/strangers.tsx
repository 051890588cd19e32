/** People whom nobody has named, as cards. “Who is this?” enrols one; a card dropped on another merges the two. */
import { useMemo, useState } from 'preact/hooks'
import { may } from '../api/client'
import { usePages, useThrottledEvent } from '../api/resource'
import type { Stranger, Strangers } from '../api/types'
import { strangerName } from '../faces'
import { now, t } from '../i18n'
import { cameraOptions } from '../live'
import { address, place, setQuery } from '../router'
import { Ago, Badge, Button, Checkbox, Empty, Loaded, PageHeader, Pager, Select } from '../ui/controls'
import { Crop } from '../ui/crop'
import { MergeableCard } from '../ui/mergeable-card'
import { NameDialog } from '../ui/name-dialog'
import { MergeStrangers } from '../ui/stranger-dialogs'

const HOUR = 3_600_000
const spans = { '1h': HOUR, '24h': 24 * HOUR, '7d': 7 * 24 * HOUR }

export function StrangersPage() {
  const { query } = place.value
  const camera = query.get('camera') ?? ''
  const named = query.get('named') === 'true'
  const span = query.get('span') ?? ''
  // Fixed while the span stays, so that each rendering asks for the same.
  const since = useMemo(() => (span in spans ? now.peek() - spans[span as keyof typeof spans] : undefined), [span])
  const strangers = usePages<Strangers>('/strangers', { camera, named: named ? undefined : false, since, limit: 60 })
  const [naming, setNaming] = useState<Stranger>()
  const [merging, setMerging] = useState<{ stranger: Stranger; into: Stranger }>()
  useThrottledEvent('sighting', strangers.reload, 3000)
  useThrottledEvent('people', strangers.reload)
  return (
    <>
      <PageHeader title={t('nav.strangers')} lead={t('strangers.lead')} />
      <div class="filters" role="group" aria-label={t('filter.title')}>
        <Select
          label={t('filter.camera')}
          value={camera}
          options={[{ value: '', text: t('filter.all') }, ...cameraOptions(camera)]}
          onChange={(value) => setQuery({ camera: value })}
        />
        <Select
          label={t('filter.since')}
          value={span}
          options={[
            { value: '', text: t('filter.all') },
            { value: '1h', text: t('span.hour') },
            { value: '24h', text: t('span.day') },
            { value: '7d', text: t('span.week') },
          ]}
          onChange={(value) => setQuery({ span: value })}
        />
        <Checkbox label={t('strangers.named')} checked={named} onChange={(checked) => setQuery({ named: checked ? 'true' : null })} />
      </div>
      <Loaded of={strangers}>
        {(data) =>
          data.strangers.length === 0 ? (
            <Empty icon="strangers" title={t('strangers.none')}>
              {t('strangers.noneHint')}
            </Empty>
          ) : (
            <ul class="cards" aria-label={t('nav.strangers')}>
              {data.strangers.map((stranger) => (
                <li key={stranger.id}>
                  <StrangerCard
                    stranger={stranger}
                    onName={() => setNaming(stranger)}
                    onMerge={(dragged) => {
                      const other = data.strangers.find((one) => one.id === dragged)
                      if (other) setMerging({ stranger: other, into: stranger })
                    }}
                  />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager pages={strangers} label={t('strangers.pages')} />
      {merging && (
        <MergeStrangers
          {...merging}
          onClose={() => setMerging(undefined)}
          onDone={() => {
            setMerging(undefined)
            strangers.reload()
          }}
        />
      )}
      {naming && (
        <NameDialog
          source={{ stranger: naming.id }}
          crop={naming.best.crop}
          onClose={() => setNaming(undefined)}
          onDone={() => {
            setNaming(undefined)
            strangers.reload()
          }}
        />
      )}
    </>
  )
}

function StrangerCard({ stranger, onName, onMerge }: { stranger: Stranger; onName: () => void; onMerge: (dragged: string) => void }) {
  const name = strangerName(stranger)
  return (
    <MergeableCard kind="stranger" id={stranger.id} onDrop={onMerge}>
      <a class="card-link" href={address('strangers', stranger.id)} draggable={false}>
        <Crop src={stranger.best.crop} alt="" size="fill" />
        <span class="card-title">{name}</span>
      </a>
      <p class="muted card-text">
        {stranger.cameras.join(', ')}, <Ago time={stranger.lastSeenAt} />
        <br />
        {t('strangers.visits', { count: stranger.visits })}
      </p>
      <div class="card-foot">
        {stranger.person ? (
          <a href={address('people', stranger.person)}>
            <Badge tone="good">{t('strangers.isEnrolled')}</Badge>
          </a>
        ) : (
          may('enrol') && (
            <Button small label={t('strangers.whoIs', { name })} onClick={onName}>
              {t('action.whoIsThis')}
            </Button>
          )
        )}
      </div>
    </MergeableCard>
  )
}
