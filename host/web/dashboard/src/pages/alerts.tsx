/** All alerts, to filter, explain and acknowledge. The filter is part of the address. */
import { useState } from 'preact/hooks'
import { usePages, useEvent, useResource } from '../api/resource'
import type { Alert, Alerts, Rules, Severity } from '../api/types'
import { number, t } from '../i18n'
import { cameraOptions, openAlerts } from '../live'
import { place, setQuery } from '../router'
import { AlertCard } from '../ui/alert-card'
import { Button, Checkbox, Empty, Loaded, PageHeader, Pager, Select } from '../ui/controls'
import { Mutes, useMutes } from '../ui/mutes'

const severities: Severity[] = ['info', 'warning', 'critical']
const SIZE = 50

export function AlertsPage() {
  const { query } = place.value
  const filter = { camera: query.get('camera') ?? '', rule: query.get('rule') ?? '', severity: query.get('severity') ?? '', open: query.get('open') === 'true' }
  const alerts = usePages<Alerts>('/alerts', { ...filter, open: filter.open || undefined, limit: SIZE })
  const rules = useResource<Rules>('/rules')
  const mutes = useMutes()
  const [waiting, setWaiting] = useState(0)
  const matches = (alert: Alert) =>
    (!filter.camera || alert.camera === filter.camera) && (!filter.rule || alert.rule === filter.rule) && (!filter.severity || alert.severity === filter.severity)
  useEvent('alert', (alert) => {
    if (!matches(alert)) return
    // On an older page a new alert would push the rows away under the reader's eyes.
    if (alerts.page > 0) setWaiting(waiting + 1)
    else alerts.change((data) => ({ ...data, alerts: [alert, ...data.alerts.filter((old) => old.id !== alert.id)].slice(0, SIZE) }))
  })
  const replace = (alert: Alert) => alerts.change((data) => ({ ...data, alerts: data.alerts.map((old) => (old.id === alert.id ? alert : old)) }))
  useEvent('acknowledgement', replace)
  // The host itself raises alerts too, and a rule may have been removed.
  const names = new Set([...(rules.data?.rules ?? []).map(({ name }) => name), ...(alerts.data?.alerts ?? []).map(({ rule }) => rule)])
  if (filter.rule) names.add(filter.rule)
  const all = { value: '', text: t('filter.all') }
  return (
    <>
      <PageHeader title={t('nav.alerts')} lead={openAlerts.value !== undefined && t('alerts.open', { count: openAlerts.value })} />
      <div class="filters" role="group" aria-label={t('filter.title')}>
        <Select label={t('filter.camera')} value={filter.camera} options={[all, ...cameraOptions(filter.camera)]} onChange={(camera) => setQuery({ camera })} />
        <Select
          label={t('filter.rule')}
          value={filter.rule}
          options={[all, ...[...names].sort().map((name) => ({ value: name, text: name }))]}
          onChange={(rule) => setQuery({ rule })}
        />
        <Select
          label={t('filter.severity')}
          value={filter.severity}
          options={[all, ...severities.map((value) => ({ value: value as string, text: t(`severity.${value}`) }))]}
          onChange={(severity) => setQuery({ severity })}
        />
        <Checkbox label={t('filter.open')} checked={filter.open} onChange={(open) => setQuery({ open: open ? 'true' : null })} />
      </div>
      <Mutes of={mutes} onChange={mutes.reload} />
      {waiting > 0 && alerts.page > 0 && (
        <p class="note" role="status">
          {t('alerts.waiting', { count: waiting })}{' '}
          <Button
            small
            onClick={() => {
              setWaiting(0)
              alerts.first()
            }}
          >
            {t('alerts.show')}
          </Button>
        </p>
      )}
      <Loaded of={alerts}>
        {(data) =>
          data.alerts.length === 0 ? (
            <Empty icon="alerts" title={t('alerts.none')}>
              {t('alerts.noneHint')}
            </Empty>
          ) : (
            <ul class="alert-list" aria-label={t('alerts.list', { count: number(data.alerts.length) })}>
              {data.alerts.map((alert) => (
                <li key={alert.id}>
                  <AlertCard alert={alert} onChange={replace} onMute={mutes.reload} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager pages={alerts} label={t('alerts.pages')} />
    </>
  )
}
