/** Frames that could not be processed: look at them, replay them, or drop them. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { usePages, useThrottledEvent } from '../api/resource'
import type { DeadLetter, DeadLetterOutcome, DeadLetters, Position } from '../api/types'
import { bytes, number, t } from '../i18n'
import { loadCounts } from '../live'
import { address, place, setQuery } from '../router'
import { Ago, Badge, Button, Checkbox, Empty, Loaded, PageHeader, Pager, Select } from '../ui/controls'
import { Crop } from '../ui/crop'
import { Dialog, FormDialog } from '../ui/dialog'
import { toast } from '../ui/toast'

const states = ['open', 'replayed', 'dropped'] as const

const name = ({ partition, offset }: Position) => `${partition}/${offset}`

type Asked = { action: 'replay' | 'drop'; frames: Position[] | 'all'; count: number }

export function DeadLettersPage() {
  const state = place.value.query.get('state') ?? 'open'
  const letters = usePages<DeadLetters>('/dead-letters', { state: state === 'all' ? undefined : state, limit: 50 })
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [asked, setAsked] = useState<Asked>()
  const [shown, setShown] = useState<DeadLetter>()
  useThrottledEvent('dead-letter', letters.reload)
  const list = letters.data?.deadLetters ?? []
  const open = list.filter((letter) => letter.state === 'open')
  const selected = open.filter((letter) => chosen.has(name(letter.place)))
  const ask = (action: Asked['action']) => {
    if (selected.length) setAsked({ action, frames: selected.map((letter) => letter.frame), count: selected.length })
    else setAsked({ action, frames: 'all', count: letters.data?.openCount ?? 0 })
  }
  const admin = may('admin')
  const choose = (letter: DeadLetter, on: boolean) => {
    const next = new Set(chosen)
    if (on) next.add(name(letter.place))
    else next.delete(name(letter.place))
    setChosen(next)
  }
  return (
    <>
      <PageHeader title={t('nav.deadLetters')} lead={letters.data && t('letters.open', { count: letters.data.openCount })}>
        {admin && (letters.data?.openCount ?? 0) > 0 && (
          <>
            <Button icon="replay" onClick={() => ask('replay')}>
              {selected.length ? t('letters.replaySelected', { count: selected.length }) : t('letters.replayAll')}
            </Button>
            <Button icon="trash" kind="danger" onClick={() => ask('drop')}>
              {selected.length ? t('letters.dropSelected', { count: selected.length }) : t('letters.dropAll')}
            </Button>
          </>
        )}
      </PageHeader>
      <div class="filters" role="group" aria-label={t('filter.title')}>
        <Select
          label={t('letters.state')}
          value={state}
          options={[...states.map((value) => ({ value: value as string, text: t(`letters.state.${value}`) })), { value: 'all', text: t('filter.all') }]}
          onChange={(value) => {
            setChosen(new Set())
            setQuery({ state: value })
          }}
        />
        {admin && open.length > 0 && (
          <Checkbox
            label={t('letters.chooseAll')}
            checked={selected.length === open.length}
            onChange={(all) => setChosen(new Set(all ? open.map((letter) => name(letter.place)) : []))}
          />
        )}
      </div>
      {letters.data?.isComplete === false && <p class="muted">{t('letters.reading')}</p>}
      <Loaded of={letters}>
        {() =>
          list.length === 0 ? (
            <Empty icon="letters" title={t('letters.none')}>
              {t('letters.noneHint')}
            </Empty>
          ) : (
            <ul class="rows card">
              {list.map((letter) => (
                <li key={name(letter.place)} class="row">
                  {admin && letter.state === 'open' && (
                    <input
                      type="checkbox"
                      aria-label={t('letters.choose', { place: name(letter.place) })}
                      checked={chosen.has(name(letter.place))}
                      onChange={(event) => choose(letter, event.currentTarget.checked)}
                    />
                  )}
                  <button class="picture-button" type="button" aria-label={t('letters.show', { place: name(letter.place) })} onClick={() => setShown(letter)}>
                    <Crop src={letter.picture} alt="" size="small" icon="letters" />
                  </button>
                  <div class="row-main">
                    <p>
                      <a href={address('cameras', letter.camera)}>{letter.camera}</a> <Badge>{letter.stage}</Badge> <Badge tone={letter.state === 'open' ? 'warning' : 'neutral'}>{t(`letters.state.${letter.state}`)}</Badge>
                    </p>
                    <p class="break">
                      {letter.reason}: {letter.message}
                    </p>
                  </div>
                  <span class="muted row-time">
                    <Ago time={letter.at} />
                    <br />
                    {bytes(letter.bytes)}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager pages={letters} label={t('letters.pages')} />
      {asked && (
        <FormDialog
          danger={asked.action === 'drop'}
          title={t(`letters.${asked.action}Title`, { count: asked.count })}
          submit={t(`letters.${asked.action}`)}
          onClose={() => setAsked(undefined)}
          action={async () => {
            const outcome = await send<DeadLetterOutcome>('POST', `/dead-letters/${asked.action}`, asked.frames === 'all' ? { all: true } : { frames: asked.frames })
            setAsked(undefined)
            setChosen(new Set())
            letters.reload()
            loadCounts().catch(() => {})
            const [failure] = outcome.failed
            if (failure) toast(t('letters.someFailed', { count: outcome.failed.length, reason: failure.reason }), true)
            else toast(t(`letters.${asked.action}Done`, { count: outcome.frames }))
          }}
        >
          <p>{t(`letters.${asked.action}Hint`)}</p>
        </FormDialog>
      )}
      {shown && <LetterDialog letter={shown} onClose={() => setShown(undefined)} />}
    </>
  )
}

function LetterDialog({ letter, onClose }: { letter: DeadLetter; onClose: () => void }) {
  const [broken, setBroken] = useState(false)
  return (
    <Dialog title={t('letters.title', { camera: letter.camera })} onClose={onClose} wide>
      <div class="dialog-body">
        {broken ? (
          <Empty icon="letters" title={t('letters.noPicture')} />
        ) : (
          <img class="whole-picture" src={letter.picture} alt={t('letters.picture')} onError={() => setBroken(true)} />
        )}
        <p>
          <Badge>{letter.stage}</Badge> {letter.reason}: {letter.message}
        </p>
        <p class="muted">
          {t('result.position', { partition: String(letter.frame.partition), offset: String(letter.frame.offset) })} · {bytes(letter.bytes)} ·{' '}
          <a href={letter.picture} download={`dead-letter-${number(letter.place.partition)}-${letter.place.offset}`}>
            {t('letters.download')}
          </a>
        </p>
      </div>
    </Dialog>
  )
}
