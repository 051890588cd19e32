/** One camera in large, the faces of its latest frame, and who was there. */
import { useEffect } from 'preact/hooks'
import { usePages, useThrottledEvent } from '../api/resource'
import type { Sightings } from '../api/types'
import { ago, number, t } from '../i18n'
import { cameraIds, cameraSignal } from '../live'
import { address, navigate } from '../router'
import { Badge, Button, Empty, Facts, IconButton, Loaded, Loading, PageHeader, Pager, Section } from '../ui/controls'
import { openResult } from '../ui/result-dialog'
import { SightingList } from '../ui/sightings'
import { LiveStage } from '../ui/stage'

export function CameraPage({ id }: { id: string }) {
  const ids = cameraIds.value
  const index = ids?.indexOf(id) ?? -1
  const go = (step: number) => {
    const target = ids?.[index + step]
    if (target !== undefined) navigate(address('cameras', target))
  }
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || document.querySelector('dialog[open]')) return
      if (event.key === 'ArrowLeft') go(-1)
      if (event.key === 'ArrowRight') go(1)
      if (event.key === 'Escape') navigate('/')
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [ids, id])
  const sightings = usePages<Sightings>('/sightings', { camera: id, limit: 20 })
  useThrottledEvent('sighting', sightings.reload, 3000)
  if (ids === undefined) return <Loading />
  const camera = cameraSignal(id)?.value
  return (
    <>
      <PageHeader title={id} lead={<a href="/">{t('camera.back')}</a>}>
        <IconButton icon="left" label={t('camera.previous')} disabled={index <= 0} onClick={() => go(-1)} />
        <IconButton icon="right" label={t('camera.next')} disabled={index < 0 || index >= ids.length - 1} onClick={() => go(1)} />
        <Button disabled={!camera?.last} onClick={() => camera?.last && openResult(camera.last.position)}>
          {t('camera.inspect')}
        </Button>
      </PageHeader>
      {!camera ? (
        <Empty icon="camera" title={t('camera.unknown')} />
      ) : (
        <div class="large">
          <div class={camera.status === 'silent' ? 'tile silent' : 'tile'}>
            <LiveStage camera={id} />
          </div>
          <Facts
            items={[
              [t('camera.state'), camera.status === 'live' ? <Badge tone="good">{t('live.live')}</Badge> : <Badge tone="critical">{t('live.silent')}</Badge>],
              [t('camera.lastSeen'), camera.lastSeenAt > 0 && ago(camera.lastSeenAt)],
              [t('camera.rate'), t('live.rate', { rate: number(camera.framesPerSecond, 1) })],
              [t('camera.frames'), number(camera.frames)],
              [t('camera.faces'), number(camera.faces)],
              [t('camera.gaps'), number(camera.gaps)],
              [t('camera.parked'), number(camera.parked)],
            ]}
          />
        </div>
      )}
      <Section title={t('camera.visits')}>
        <Loaded of={sightings}>
          {(data) => (data.sightings.length ? <SightingList sightings={data.sightings} withName /> : <p class="muted">{t('camera.noVisits')}</p>)}
        </Loaded>
        <Pager pages={sightings} label={t('camera.visits')} />
      </Section>
    </>
  )
}
