/** A replay of past results with other settings: how far it is, then what would differ, then the lines to put in force. */
import { send } from '../../api/client'
import { useInterval, useResource } from '../../api/resource'
import type { Replay, ReplayAnswer, ReplayedAlert } from '../../api/types'
import { dateTime, number, t } from '../../i18n'
import { address, setQuery } from '../../router'
import { Badge, Button, Empty, ErrorNote, Loaded, type Tone } from '../../ui/controls'
import { Crop } from '../../ui/crop'
import { useAction } from '../../ui/dialog'
import { openResult } from '../../ui/result-dialog'
import { toast } from '../../ui/toast'

export function Trial({ id }: { id: string }) {
  const replay = useResource<Replay>(`/replays/${encodeURIComponent(id)}`)
  const { busy, run } = useAction()
  const running = replay.data?.state === 'running'
  useInterval(() => running && replay.reload(), 700)
  const forget = () =>
    run(async () => {
      await send('DELETE', `/replays/${encodeURIComponent(id)}`)
      setQuery({ replay: null })
    })
  return (
    <div class="trial">
      <h3>{t('trial.title')}</h3>
      <Loaded of={replay}>
        {(data) => (
          <>
            <p class="muted">{t('trial.window', { from: dateTime(data.from), to: dateTime(data.to) })}</p>
            {data.state === 'running' && <Progress share={data.progress} />}
            <p class="hidden" role="status">
              {t(`trial.state.${data.state}`)}
            </p>
            {data.state === 'failed' && <ErrorNote error={{ message: data.problem }} />}
            {data.state === 'cancelled' && <p>{t('trial.state.cancelled')}</p>}
            {data.answer && <Answer answer={data.answer} />}
            {data.state === 'done' && data.toml && <Lines toml={data.toml} />}
            <Button icon={running ? 'close' : 'trash'} busy={busy} onClick={() => void forget()}>
              {running ? t('action.cancel') : t('trial.forget')}
            </Button>
          </>
        )}
      </Loaded>
    </div>
  )
}

function Progress({ share }: { share: number }) {
  return (
    <p class="progress">
      <progress max={1} value={share} aria-label={t('trial.progress')} />
      <span aria-hidden="true">{t('trial.percent', { value: Math.floor(share * 100) })}</span>
    </p>
  )
}

function Answer({ answer }: { answer: ReplayAnswer }) {
  const { alerts } = answer
  if (answer.frames === 0) return <Empty icon="replay" title={t('trial.noFrames')} />
  const troubles = [...answer.failed.map((one) => ({ ...one, key: 'trial.wouldPark' as const })), ...answer.skipped.map((one) => ({ ...one, key: 'trial.wouldSkip' as const }))]
  return (
    <>
      <p class="trial-sentence">
        {t('trial.frames', { count: answer.frames })}: {t('trial.alerts', { before: number(alerts.before), after: number(alerts.after) })}
      </p>
      {troubles.map((trouble) => (
        <p key={trouble.key + trouble.rule} class="note critical">
          {t(trouble.key, { count: trouble.frames, rule: trouble.rule })} {trouble.example}
        </p>
      ))}
      {answer.keptAnswers.map(({ rule, frames }) => (
        <p key={rule} class="note">
          {t('trial.keptAnswers', { count: frames, rule })}
        </p>
      ))}
      {alerts.raised + alerts.gone === 0 && <p>{t('trial.same')}</p>}
      <AlertGroup title={t('trial.raised', { count: alerts.raised })} alerts={answer.raised} count={alerts.raised} open />
      <AlertGroup title={t('trial.gone', { count: alerts.gone })} alerts={answer.gone} count={alerts.gone} open />
      <AlertGroup title={t('trial.kept', { count: alerts.kept })} alerts={answer.kept} count={alerts.kept} />
      <Changes title={t('trial.decisions')} changes={answer.decisions} />
      <Changes title={t('trial.strangers')} changes={answer.strangers} />
    </>
  )
}

/** Alerts with their pictures. */
function AlertGroup({ title, alerts, count, open }: { title: string; alerts: ReplayedAlert[]; count: number; open?: boolean }) {
  if (count === 0) return null
  return (
    <details class="trial-group" open={open}>
      <summary>{title}</summary>
      <ul class="plain trial-alerts">
        {alerts.map((alert) => (
          <li key={`${alert.position.partition}/${alert.position.offset}/${alert.rule}/${alert.kind}/${alert.subject}`}>
            <AlertRow alert={alert} />
          </li>
        ))}
      </ul>
      {alerts.length < count && <p class="muted">{t('trial.firstOnly', { count: alerts.length })}</p>}
    </details>
  )
}

const tones: Record<ReplayedAlert['severity'], Tone> = { info: 'info', warning: 'warning', critical: 'critical' }

function AlertRow({ alert }: { alert: ReplayedAlert }) {
  return (
    <article class={`alert-card ${alert.severity}`}>
      <Crop src={alert.crop ?? alert.picture} alt="" size="medium" />
      <div class="alert-main">
        <p class="alert-text">
          <Badge tone={tones[alert.severity]}>{t(`severity.${alert.severity}`)}</Badge> {alert.text}
        </p>
        <p class="muted">
          <a href={address('cameras', alert.camera)}>{alert.camera}</a> · <time dateTime={new Date(alert.at).toISOString()}>{dateTime(alert.at)}</time> · {alert.rule}
        </p>
      </div>
      <div class="alert-actions">
        <Button small kind="quiet" label={t('alerts.whyOf', { text: alert.text })} onClick={() => openResult(alert.position)}>
          {t('action.why')}
        </Button>
      </div>
    </article>
  )
}

function Changes({ title, changes }: { title: string; changes: ReplayAnswer['decisions'] }) {
  if (changes.length === 0) return null
  return (
    <p>
      <strong>{title}</strong>{' '}
      {changes.map(({ before, after, count }) => t('trial.change', { before, after, count })).join('; ')}
    </p>
  )
}

/** The lines that put the settings in force. The server does not write its configuration. */
function Lines({ toml }: { toml: string }) {
  const copy = async () => {
    await navigator.clipboard.writeText(toml)
    toast(t('trial.copied'))
  }
  return (
    <div class="trial-lines">
      <h4>{t('trial.lines')}</h4>
      <p class="muted">{t('trial.linesHint')}</p>
      <pre tabIndex={0} role="group" aria-label={t('trial.lines')}>
        {toml}
      </pre>
      {/* Browsers offer the clipboard to pages of this machine and over TLS only. */}
      {navigator.clipboard && (
        <Button small onClick={() => void copy()}>
          {t('trial.copy')}
        </Button>
      )}
    </div>
  )
}
