/** The account of all frames: one sentence, then each camera and partition. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { useInterval, useResource } from '../api/resource'
import type { Audit, CameraLedger, Ledger, LedgerSummary } from '../api/types'
import { dateTime, duration, number, t } from '../i18n'
import { ledger as liveLedger } from '../live'
import { address } from '../router'
import { Ago, Badge, Button, ErrorNote, Loaded, PageHeader, Section, Table } from '../ui/controls'

export function LedgerPage() {
  const ledger = useResource<Ledger>('/ledger')
  useInterval(ledger.reload, 10_000)
  return (
    <>
      <PageHeader title={t('nav.ledger')} lead={t('ledger.lead')} />
      <Loaded of={ledger}>
        {(data) => (
          <>
            <Sentence summary={liveLedger.value ?? data} />
            <AuditSection />
            <Section title={t('ledger.cameras')}>
              <Table caption={t('ledger.cameras')} head={[t('table.camera'), t('table.processed'), t('table.parked'), t('table.gaps'), t('table.lastFrame')]}>
                {data.cameras.map((camera) => (
                  <CameraRow key={camera.camera} camera={camera} />
                ))}
              </Table>
            </Section>
            <Section title={t('ledger.partitions')}>
              <Table caption={t('ledger.partitions')} head={[t('table.partition'), t('table.frames'), t('table.oldest'), t('table.next'), t('table.committed'), t('table.waiting'), t('table.lost')]}>
                {data.partitions.map((partition) => (
                  <tr key={partition.partition}>
                    <th scope="row">{partition.partition}</th>
                    <td>{number(partition.frames)}</td>
                    <td>{number(partition.oldest)}</td>
                    <td>{number(partition.next)}</td>
                    <td>{partition.committed == null ? '–' : number(partition.committed)}</td>
                    <td>{number(partition.waiting)}</td>
                    <td>
                      {partition.missing.length === 0 ? (
                        <span class="muted">{t('ledger.none')}</span>
                      ) : (
                        partition.missing.map(({ first, last }) => (
                          <Badge key={first} tone="critical">
                            {range(first, last)}
                          </Badge>
                        ))
                      )}
                    </td>
                  </tr>
                ))}
              </Table>
            </Section>
          </>
        )}
      </Loaded>
    </>
  )
}

const range = (first: number, last: number) => (first === last ? number(first) : `${number(first)} – ${number(last)}`)

/** “1,204,331 frames in, 1,204,331 accounted for, lost 0, 2.1 s behind, retention in no danger”. */
function Sentence({ summary }: { summary: LedgerSummary }) {
  const { retention } = summary
  const bad = summary.lost > 0 || retention.state === 'danger'
  return (
    <div class={`card sentence ${bad ? 'critical' : 'good'}`}>
      <p class="sentence-text">
        {t('ledger.sentence.in', { count: summary.frames })}, {t('ledger.sentence.accounted', { accounted: number(summary.accounted) })},{' '}
        <strong>{t('ledger.sentence.lost', { lost: number(summary.lost) })}</strong>,{' '}
        {t('ledger.sentence.behind', { time: duration(summary.behindMs) })}, {t(`ledger.sentence.retention.${retention.state}`)}.
      </p>
      <dl class="figures">
        {(
          [
            [t('ledger.processed'), summary.processed],
            [t('ledger.waiting'), summary.waiting],
            [t('ledger.parked'), summary.parked],
            [t('ledger.deleted'), summary.deleted],
            [t('ledger.repeated'), summary.repeated],
            [t('ledger.gaps'), summary.gaps],
          ] as const
        ).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{number(value)}</dd>
          </div>
        ))}
      </dl>
      {retention.text && <p>{retention.text}</p>}
      <p class="muted">{summary.isComplete ? t('ledger.since', { time: dateTime(summary.since) }) : t('ledger.reading')}</p>
    </div>
  )
}

function CameraRow({ camera }: { camera: CameraLedger }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <tr>
        <th scope="row">
          <a href={address('cameras', camera.camera)}>{camera.camera}</a>
        </th>
        <td>{number(camera.processed)}</td>
        <td>{number(camera.parked)}</td>
        <td>
          {camera.gaps === 0 ? (
            <span class="muted">{t('ledger.none')}</span>
          ) : (
            <button class="button small" type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
              {t('ledger.gapCount', { count: camera.gaps })}
            </button>
          )}
        </td>
        <td>{camera.lastSeenAt > 0 ? <Ago time={camera.lastSeenAt} /> : '–'}</td>
      </tr>
      {open && (
        <tr class="opened">
          <td colSpan={5}>
            <p class="muted">{t('ledger.gapHint')}</p>
            <ul class="plain">
              {camera.gapAlerts.map((gap) => (
                <li key={gap.at}>
                  {dateTime(gap.at)}: {gap.text}
                </li>
              ))}
            </ul>
          </td>
        </tr>
      )}
    </>
  )
}

/** Counts again from the topics alone. It reads them whole, so it may take a while. */
function AuditSection() {
  const [state, setState] = useState<{ busy: boolean; audit?: Audit; error?: unknown }>({ busy: false })
  if (!may('admin')) return null
  const audit = async () => {
    setState({ busy: true })
    try {
      setState({ busy: false, audit: await send<Audit>('POST', '/ledger/audit') })
    } catch (error) {
      setState({ busy: false, error })
    }
  }
  return (
    <Section
      title={t('audit.title')}
      actions={
        <Button icon="check" busy={state.busy} onClick={() => void audit()}>
          {t('audit.now')}
        </Button>
      }
    >
      <p class="muted">{t('audit.hint')}</p>
      <div role="status" aria-live="polite">
        {state.busy && <p>{t('audit.running')}</p>}
        {state.audit && <AuditAnswer audit={state.audit} />}
      </div>
      {state.error !== undefined && <ErrorNote error={state.error} />}
    </Section>
  )
}

function AuditAnswer({ audit }: { audit: Audit }) {
  const { total } = audit
  const whole = total.missing === 0 && audit.deleted_frames === 0
  const counts = ['sent', 'results', 'dead_letters', 'missing', 'waiting', 'gaps'] as const
  const head = [t('table.camera'), t('audit.sent'), t('table.processed'), t('table.parked'), t('table.lost'), t('table.waiting'), t('table.gaps')]
  return (
    <>
      <p>
        <Badge tone={whole ? 'good' : 'critical'}>{whole ? t('audit.whole') : t('audit.notWhole')}</Badge>{' '}
        {t('audit.sentence', { count: total.sent, missing: number(total.missing), deleted: number(audit.deleted_frames) })}
      </p>
      <Table caption={t('audit.title')} head={head}>
        {Object.entries(audit.cameras).map(([camera, count]) => (
          <tr key={camera}>
            <th scope="row">{camera}</th>
            {counts.map((name) => (
              <td key={name}>
                {number(count[name])}
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </>
  )
}
