/** Muting alerts for a while, and the mutes in force. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { useResource, type Resource } from '../api/resource'
import type { Alert, Mute } from '../api/types'
import { dateTime, t, type Key } from '../i18n'
import { Button, Select } from './controls'
import { FormDialog } from './dialog'
import { toast } from './toast'

type Parts = Pick<Mute, 'camera' | 'rule' | 'kind' | 'subject'>

const spans: { minutes: number; key: Key }[] = [
  { minutes: 15, key: 'mute.quarter' },
  { minutes: 60, key: 'mute.hour' },
  { minutes: 8 * 60, key: 'mute.shift' },
  { minutes: 24 * 60, key: 'mute.day' },
  { minutes: 7 * 24 * 60, key: 'mute.week' },
]

export function MuteDialog({ alert, onClose, onDone }: { alert: Alert; onClose: () => void; onDone: () => void }) {
  const { camera, rule, kind, subject } = alert
  const who = alert.subjectName ?? subject
  const choices: { text: string; parts: Parts }[] = [
    { text: t('mute.kindAtCamera', { kind, camera }), parts: { kind, camera } },
    { text: t('mute.kindOfSubject', { kind, who }), parts: { kind, subject } },
    { text: t('mute.rule', { rule }), parts: { rule } },
    { text: t('mute.camera', { camera }), parts: { camera } },
  ]
  const [chosen, setChosen] = useState(0)
  const [minutes, setMinutes] = useState('60')
  return (
    <FormDialog
      title={t('mute.title')}
      submit={t('action.mute')}
      onClose={onClose}
      action={async () => {
        await send('POST', '/mutes', { ...choices[chosen]!.parts, minutes: Number(minutes) })
        toast(t('mute.done'))
        onDone()
      }}
    >
      <p>{t('mute.hint')}</p>
      <fieldset class="choices">
        <legend>{t('mute.which')}</legend>
        {choices.map(({ text }, i) => (
          <label key={text} class="choice">
            <input type="radio" name="mute" checked={chosen === i} onChange={() => setChosen(i)} /> {text}
          </label>
        ))}
      </fieldset>
      <Select label={t('mute.span')} value={minutes} options={spans.map((span) => ({ value: String(span.minutes), text: t(span.key) }))} onChange={setMinutes} />
    </FormDialog>
  )
}

export function useMutes(): Resource<{ mutes: Mute[] }> {
  return useResource<{ mutes: Mute[] }>('/mutes')
}

/** What is muted now, each with a button to end it. Nothing if nothing is. */
export function Mutes({ of, onChange }: { of: Resource<{ mutes: Mute[] }>; onChange: () => void }) {
  const mutes = of.data?.mutes ?? []
  if (mutes.length === 0) return null
  return (
    <ul class="rows" aria-label={t('mute.list')}>
      {mutes.map((mute) => {
        const parts = [mute.kind, mute.rule, mute.camera, mute.subject].filter(Boolean).join(', ')
        return (
          <li key={mute.id} class="row">
            <p class="row-main">{t('mute.until', { parts, time: dateTime(mute.until), name: mute.by })}</p>
            {may('enrol') && (
              <Button
                small
                label={t('mute.endOf', { parts })}
                onClick={() =>
                  void send('DELETE', `/mutes/${encodeURIComponent(mute.id)}`).then(
                    () => {
                      toast(t('mute.ended'))
                      onChange()
                    },
                    () => toast(t('mute.endFailed'), true),
                  )
                }
              >
                {t('mute.end')}
              </Button>
            )}
          </li>
        )
      })}
    </ul>
  )
}
