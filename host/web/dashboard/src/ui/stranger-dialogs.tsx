/** What can be changed of a stranger by hand: merge with another, split, forget. */
import { useState } from 'preact/hooks'
import { send } from '../api/client'
import { useResource } from '../api/resource'
import type { Receipt, Sightings, Stranger, Strangers } from '../api/types'
import { strangerName, strangerPath } from '../faces'
import { dateTime, duration, t } from '../i18n'
import { Checkbox, Empty, Loaded } from './controls'
import { Crop } from './crop'
import { FormDialog } from './dialog'
import { showReceipt } from './receipt-dialog'
import { toast } from './toast'

/** `into`: the other stranger, if it is chosen already. */
export function MergeStrangers({ stranger, into, onClose, onDone }: { stranger: Stranger; into: Stranger | undefined; onClose: () => void; onDone: (id: string) => void }) {
  const others = useResource<Strangers>('/strangers', { named: false, limit: 100 })
  const [target, setTarget] = useState(into)
  const name = strangerName(stranger)
  return (
    <FormDialog
      title={t('mergeStrangers.title', { name })}
      submit={t('action.merge')}
      disabled={!target}
      onClose={onClose}
      action={async () => {
        await send('POST', `${strangerPath(stranger.id)}/merge`, { into: target!.id })
        toast(t('mergeStrangers.done'))
        onDone(target!.id)
      }}
    >
      <p>{t('mergeStrangers.hint')}</p>
      <Loaded of={others}>
        {(data) => (
          <fieldset class="choices">
            <legend>{t('merge.into')}</legend>
            {data.strangers
              .filter((other) => other.id !== stranger.id)
              .map((other) => (
                <label key={other.id} class="choice">
                  <input type="radio" name="into" checked={target?.id === other.id} onChange={() => setTarget(other)} />
                  <Crop src={other.best.crop} alt="" size="small" />
                  <span>
                    {strangerName(other)}
                    <br />
                    <span class="muted">
                      {other.cameras.join(', ')}, {dateTime(other.lastSeenAt)}
                    </span>
                  </span>
                </label>
              ))}
            {data.strangers.length < 2 && <Empty icon="strangers" title={t('mergeStrangers.none')} />}
          </fieldset>
        )}
      </Loaded>
    </FormDialog>
  )
}

export function SplitStranger({ stranger, onClose, onDone }: { stranger: Stranger; onClose: () => void; onDone: (id: string) => void }) {
  const sightings = useResource<Sightings>('/sightings', { stranger: stranger.id, limit: 100 })
  const [moved, setMoved] = useState<string[]>([])
  const count = sightings.data?.sightings.length ?? 0
  return (
    <FormDialog
      title={t('split.title', { name: strangerName(stranger) })}
      submit={t('action.split')}
      disabled={moved.length === 0 || moved.length === count}
      onClose={onClose}
      action={async () => {
        const { id } = await send<{ id: string }>('POST', `${strangerPath(stranger.id)}/split`, { sightings: moved })
        toast(t('split.done'))
        onDone(id)
      }}
    >
      <p>{t('split.hint')}</p>
      <Loaded of={sightings}>
        {(data) => (
          <fieldset class="choices">
            <legend>{t('split.which')}</legend>
            {data.sightings.map((sighting) => (
              <div key={sighting.id} class="choice">
                <Crop src={sighting.best.crop} alt="" size="small" />
                <Checkbox
                  label={`${sighting.camera}, ${dateTime(sighting.from)}, ${duration(sighting.to - sighting.from)}`}
                  checked={moved.includes(sighting.id)}
                  onChange={(checked) => setMoved(checked ? [...moved, sighting.id] : moved.filter((id) => id !== sighting.id))}
                />
              </div>
            ))}
          </fieldset>
        )}
      </Loaded>
    </FormDialog>
  )
}

export function ForgetStranger({ stranger, onClose, onDone }: { stranger: Stranger; onClose: () => void; onDone: () => void }) {
  const name = strangerName(stranger)
  return (
    <FormDialog
      danger
      title={t('forget.title', { name })}
      submit={t('action.forget')}
      onClose={onClose}
      action={async () => {
        // Without an answer if there were only visits.
        const receipt = await send<Receipt | undefined>('DELETE', strangerPath(stranger.id))
        if (receipt) showReceipt(t('forget.done', { name }), receipt)
        else toast(t('forget.done', { name }))
        onDone()
      }}
    >
      <p>{t('forget.hint')}</p>
    </FormDialog>
  )
}
