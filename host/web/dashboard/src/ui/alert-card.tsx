/** An alert: its picture, what it says, which rule raised it, and what can be done. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import type { Alert } from '../api/types'
import { dateTime, t } from '../i18n'
import { address } from '../router'
import { Ago, Badge, Button, type Tone } from './controls'
import { Crop } from './crop'
import { FormDialog, useAction } from './dialog'
import { MuteDialog } from './mutes'
import { openResult } from './result-dialog'
import { toast } from './toast'

const tones: Record<Alert['severity'], Tone> = { info: 'info', warning: 'warning', critical: 'critical' }

const acknowledgement = (alert: Alert) => `/alerts/${encodeURIComponent(alert.id)}/acknowledgement`

export function AlertCard({ alert, small, onChange, onMute }: { alert: Alert; small?: boolean; onChange?: (alert: Alert) => void; onMute?: () => void }) {
  const [asking, setAsking] = useState(false)
  const [muting, setMuting] = useState(false)
  const { busy, run } = useAction()
  const { acknowledged, position } = alert
  // An alert about a partition has no frame, and names `topic/partition` instead of a camera.
  const aboutCamera = position != null || !/\/\d+$/.test(alert.camera)
  const reopen = () =>
    run(async () => {
      try {
        onChange?.(await send<Alert>('DELETE', acknowledgement(alert)))
      } catch (error) {
        toast(t('alerts.reopenFailed'), true)
        throw error
      }
    })
  return (
    <article class={`alert-card ${alert.severity} ${acknowledged || alert.muted ? 'done' : ''} ${small ? 'small' : ''}`}>
      <Crop src={alert.crop ?? alert.picture} alt="" size={small ? 'small' : 'medium'} />
      <div class="alert-main">
        <p class="alert-text">
          <Badge tone={tones[alert.severity]}>{t(`severity.${alert.severity}`)}</Badge> {alert.muted && <Badge>{t('alerts.muted')}</Badge>} {alert.text}
        </p>
        <p class="muted">
          {aboutCamera ? <a href={address('cameras', alert.camera)}>{alert.camera}</a> : alert.camera} · <Ago time={alert.at} />
          {!small && (
            <>
              {' '}
              · {alert.rule} {alert.ruleVersion}
            </>
          )}
        </p>
        {acknowledged && (
          <p class="muted acknowledged">
            {t('alerts.acknowledgedBy', { name: acknowledged.by, time: dateTime(acknowledged.at) })}
            {acknowledged.comment && <q>{acknowledged.comment}</q>}
          </p>
        )}
      </div>
      <div class="alert-actions">
        {position && (
          <Button small kind="quiet" label={t('alerts.whyOf', { text: alert.text })} onClick={() => openResult(position)}>
            {t('action.why')}
          </Button>
        )}
        {onMute && !alert.muted && may('enrol') && (
          <Button small kind="quiet" label={t('alerts.muteOf', { text: alert.text })} onClick={() => setMuting(true)}>
            {t('action.mute')}
          </Button>
        )}
        {may('enrol') &&
          (acknowledged
            ? !small && (
                <Button small kind="quiet" icon="undo" busy={busy} onClick={() => void reopen()}>
                  {t('action.reopen')}
                </Button>
              )
            : (
                <Button small icon="check" label={t('alerts.acknowledgeOf', { text: alert.text })} onClick={() => setAsking(true)}>
                  {t('action.acknowledge')}
                </Button>
              ))}
      </div>
      {muting && (
        <MuteDialog
          alert={alert}
          onClose={() => setMuting(false)}
          onDone={() => {
            setMuting(false)
            onMute?.()
          }}
        />
      )}
      {asking && (
        <AcknowledgeDialog
          alert={alert}
          onClose={() => setAsking(false)}
          onDone={(changed) => {
            setAsking(false)
            onChange?.(changed)
          }}
        />
      )}
    </article>
  )
}

function AcknowledgeDialog({ alert, onClose, onDone }: { alert: Alert; onClose: () => void; onDone: (alert: Alert) => void }) {
  const [comment, setComment] = useState('')
  return (
    <FormDialog
      title={t('alerts.acknowledgeTitle')}
      submit={t('action.acknowledge')}
      onClose={onClose}
      action={async () => {
        const changed = await send<Alert>('PUT', acknowledgement(alert), comment.trim() ? { comment: comment.trim() } : {})
        toast(t('alerts.acknowledged'))
        onDone(changed)
      }}
    >
      <p>{alert.text}</p>
      <div class="field">
        <label for="comment">{t('alerts.comment')}</label>
        <input id="comment" data-focus type="text" maxLength={500} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
      </div>
    </FormDialog>
  )
}
