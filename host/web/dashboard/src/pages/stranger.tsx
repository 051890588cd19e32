/** One stranger: best picture, visits, “who is this?”, and what can be changed by hand. */
import { useState } from 'preact/hooks'
import { may } from '../api/client'
import { useResource, useThrottledEvent } from '../api/resource'
import type { Stranger } from '../api/types'
import { shortId, strangerName, strangerPath } from '../faces'
import { dateTime, number, t } from '../i18n'
import { address, navigate } from '../router'
import { Badge, Button, Empty, Facts, Loaded, PageHeader } from '../ui/controls'
import { Crop } from '../ui/crop'
import { NameDialog } from '../ui/name-dialog'
import { openResult } from '../ui/result-dialog'
import { ForgetStranger, MergeStrangers, SplitStranger } from '../ui/stranger-dialogs'
import { Visits } from '../ui/sightings'

export function StrangerPage({ id }: { id: string }) {
  const stranger = useResource<Stranger>(strangerPath(id))
  const [asked, setAsked] = useState<'name' | 'merge' | 'split' | 'forget'>()
  const close = () => setAsked(undefined)
  useThrottledEvent('sighting', stranger.reload, 3000)
  const { data } = stranger
  return (
    <>
      <PageHeader title={data ? strangerName(data) : t('face.strangerId', { id: shortId(id) })} lead={<a href="/strangers">{t('stranger.back')}</a>}>
        {data && <Button onClick={() => openResult(data.best.position)}>{t('stranger.bestFrame')}</Button>}
        {data && !data.person && may('enrol') && (
          <Button kind="primary" icon="person" onClick={() => setAsked('name')}>
            {t('action.whoIsThis')}
          </Button>
        )}
        {data && may('enrol') && (
          <>
            <Button icon="merge" onClick={() => setAsked('merge')}>
              {t('action.merge')}
            </Button>
            <Button icon="split" onClick={() => setAsked('split')}>
              {t('action.split')}
            </Button>
            <Button icon="trash" kind="danger" onClick={() => setAsked('forget')}>
              {t('action.forget')}
            </Button>
          </>
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
              {asked === 'name' && (
                <NameDialog source={{ stranger: id }} crop={one.best.crop} onClose={close} onDone={(person) => navigate(address('people', person.id))} />
              )}
              {asked === 'merge' && <MergeStrangers stranger={one} into={undefined} onClose={close} onDone={(into) => navigate(address('strangers', into))} />}
              {asked === 'split' && <SplitStranger stranger={one} onClose={close} onDone={(other) => navigate(address('strangers', other))} />}
              {asked === 'forget' && <ForgetStranger stranger={one} onClose={close} onDone={() => navigate('/strangers')} />}
            </>
          )}
        </Loaded>
      )}
    </>
  )
}
