/** One stranger: best picture, visits, “who is this?”. */
import { useState } from 'preact/hooks'
import { may } from '../api/client'
import { useResource, useThrottledEvent } from '../api/resource'
import type { Stranger } from '../api/types'
import { shortId } from '../faces'
import { dateTime, number, t } from '../i18n'
import { address, navigate } from '../router'
import { Badge, Button, Empty, Facts, Loaded, PageHeader } from '../ui/controls'
import { Crop } from '../ui/crop'
import { NameDialog } from '../ui/name-dialog'
import { openResult } from '../ui/result-dialog'
import { Visits } from '../ui/sightings'
import { strangerName } from './strangers'

export function StrangerPage({ id }: { id: string }) {
  const stranger = useResource<Stranger>(`/strangers/${encodeURIComponent(id)}`)
  const [naming, setNaming] = useState(false)
  useThrottledEvent('sighting', stranger.reload, 3000)
  const { data } = stranger
  return (
    <>
      <PageHeader title={data ? strangerName(data) : t('face.strangerId', { id: shortId(id) })} lead={<a href="/strangers">{t('stranger.back')}</a>}>
        {data && <Button onClick={() => openResult(data.best.position)}>{t('stranger.bestFrame')}</Button>}
        {data && !data.person && may('enrol') && (
          <Button kind="primary" icon="person" onClick={() => setNaming(true)}>
            {t('action.whoIsThis')}
          </Button>
        )}
      </PageHeader>
      {stranger.error?.status === 404 ? (
        <Empty icon="strangers" title={t('stranger.unknown')} />
      ) : (
        <Loaded of={stranger}>
          {(one) => (
            <>
              <div class="person-head">
                <Crop src={one.best.crop} alt={t('stranger.picture')} size="large" />
                <Facts
                  items={[
                    [
                      t('stranger.state'),
                      one.person ? (
                        <>
                          <Badge tone="good">{t('strangers.isEnrolled')}</Badge> <a href={address('people', one.person)}>{one.name ?? one.person}</a>
                        </>
                      ) : (
                        <Badge tone="warning">{t('face.stranger')}</Badge>
                      ),
                    ],
                    [t('stranger.firstSeen'), dateTime(one.firstSeenAt)],
                    [t('stranger.lastSeen'), dateTime(one.lastSeenAt)],
                    [t('stranger.cameras'), one.cameras.join(', ')],
                    [t('stranger.visits'), number(one.visits)],
                    [t('stranger.frames'), number(one.frames)],
                  ]}
                />
              </div>
              <Visits of={{ stranger: id }} />
              {naming && (
                <NameDialog source={{ stranger: id }} crop={one.best.crop} onClose={() => setNaming(false)} onDone={(person) => navigate(address('people', person.id))} />
              )}
            </>
          )}
        </Loaded>
      )}
    </>
  )
}
