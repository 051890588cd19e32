/** All cameras at once, and the alerts as they come. */
import { useState } from 'preact/hooks'
import { useEvent, useInterval, useResource } from '../api/resource'
import type { Alert, Alerts } from '../api/types'
import { faceLabel } from '../faces'
import { ago, number, t } from '../i18n'
import { cameraIds, cameraSignal, loadCameras, silentCameras, stream } from '../live'
import { address } from '../router'
import { AlertCard } from '../ui/alert-card'
import { Badge, Empty, ErrorNote, Loading, PageHeader } from '../ui/controls'
import { LiveStage } from '../ui/stage'

/** As many as a person watches; the page Alerts has them all. */
const ALERTS = 20

export function LivePage() {
  const [error, setError] = useState<unknown>()
  const load = () => loadCameras().then(() => setError(undefined), setError)
  // For the counts; frames and states come as events.
  useInterval(load, 10_000)
  const ids = cameraIds.value
  return (
    <>
      <PageHeader title={t('nav.live')} lead={ids && <Summary ids={ids} />} />
      {error !== undefined && stream.connection.value === 'open' && <ErrorNote error={error} retry={load} />}
      <div class="live">
        <section aria-label={t('live.cameras')}>
          {ids === undefined ? (
            <Loading />
          ) : ids.length === 0 ? (
            <Empty icon="camera" title={t('live.noCameras')}>
              {t('live.noCamerasHint')}
            </Empty>
          ) : (
            <ul class={`tiles ${ids.length > 12 ? 'many' : ''}`}>
              {ids.map((id) => (
                <li key={id}>
                  <Tile id={id} />
                </li>
              ))}
            </ul>
          )}
        </section>
        <LatestAlerts />
      </div>
    </>
  )
}

function Summary({ ids }: { ids: string[] }) {
  const silent = silentCameras.value
  return <>{silent ? t('live.summarySilent', { count: ids.length, silent }) : t('live.summary', { count: ids.length })}</>
}

function Tile({ id }: { id: string }) {
  const camera = cameraSignal(id)?.value
  if (!camera) return null
  const silent = camera.status === 'silent'
  const names = camera.last?.faces.map(faceLabel).join(', ')
  return (
    <a class={`tile ${silent ? 'silent' : ''}`} href={address('cameras', id)}>
      <LiveStage camera={id} />
      {silent && (
        <span class="tile-silent">
          {camera.lastSeenAt === 0 ? t('live.neverSeen') : t('live.silentSince', { time: ago(camera.lastSeenAt) })}
        </span>
      )}
      <span class="tile-caption">
        <span class="tile-name">
          <span class={`dot ${silent ? 'critical' : 'good'}`} />
          {id}
        </span>
        <span class="tile-faces">{!silent && names}</span>
        <span class="muted tile-rate">{silent ? <Badge tone="critical">{t('live.silent')}</Badge> : t('live.rate', { rate: number(camera.framesPerSecond, 1) })}</span>
      </span>
    </a>
  )
}

function LatestAlerts() {
  const alerts = useResource<Alerts>('/alerts', { limit: ALERTS })
  const [arrived, setArrived] = useState('')
  useEvent('alert', (alert) => {
    alerts.change((data) => ({ ...data, alerts: withAlert(data.alerts, alert) }))
    setArrived(alert.text)
  })
  useEvent('acknowledgement', (alert) => alerts.change((data) => ({ ...data, alerts: data.alerts.map((old) => (old.id === alert.id ? alert : old)) })))
  return (
    <section class="latest" aria-labelledby="latest">
      <header class="section-header">
        <h2 id="latest">{t('live.latestAlerts')}</h2>
        <a href="/alerts">{t('live.allAlerts')}</a>
      </header>
      <p class="hidden" role="status" aria-live="polite">
        {arrived}
      </p>
      {alerts.error && <ErrorNote error={alerts.error} retry={alerts.reload} />}
      {alerts.data?.alerts.length === 0 && <Empty icon="alerts" title={t('alerts.none')} />}
      <ul class="alert-feed">
        {alerts.data?.alerts.map((alert) => (
          <li key={alert.id}>
            <AlertCard alert={alert} small />
          </li>
        ))}
      </ul>
    </section>
  )
}

/** The newest alerts with one more. An alert may come twice: with the list and as an event. */
function withAlert(alerts: Alert[], alert: Alert): Alert[] {
  return [alert, ...alerts.filter((old) => old.id !== alert.id)].slice(0, ALERTS)
}
