/** The messages that a channel could not deliver, and sending them again. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { useResource } from '../api/resource'
import type { MessagesReplayed, Undelivered } from '../api/types'
import { t } from '../i18n'
import { Ago, Button, Empty, Loaded } from './controls'
import { Dialog, useAction } from './dialog'

/** `onDone` is called after messages were sent again. */
export function UndeliveredDialog({ channel, onClose, onDone }: { channel: string; onClose: () => void; onDone: () => void }) {
  const list = useResource<Undelivered>('/undelivered', { channel })
  const { busy, error, run } = useAction()
  const [replayed, setReplayed] = useState<MessagesReplayed>()
  const replay = (wanted: { ids: string[] } | { all: true }) =>
    run(async () => {
      let next: typeof wanted | undefined = wanted
      const total: MessagesReplayed = { delivered: 0, failed: [], left: [] }
      // A request sends what it can within half a minute, and says what is left.
      while (next) {
        const part: MessagesReplayed = await send<MessagesReplayed>('POST', '/undelivered/replay', { channel, ...next })
        total.delivered += part.delivered
        total.failed.push(...part.failed)
        setReplayed({ ...total })
        next = part.left.length > 0 ? { ids: part.left } : undefined
      }
      list.reload()
      onDone()
    })
  const canReplay = may('admin') && (list.data?.messages.some((message) => message.canReplay) ?? false)
  return (
    <Dialog title={t('undelivered.title', { channel })} onClose={onClose} wide>
      <div class="dialog-body">
        <div role="status">
          {replayed && (
            <p class={`note ${replayed.failed.length > 0 ? 'warning' : ''}`}>
              {t('undelivered.delivered', { count: replayed.delivered })}
              {replayed.failed[0] && ` ${t('undelivered.failed', { count: replayed.failed.length, reason: replayed.failed[0].reason })}`}
            </p>
          )}
        </div>
        {error && (
          <p class="note critical" role="alert">
            {error}
          </p>
        )}
        <Loaded of={list}>
          {({ messages, count }) =>
            messages.length === 0 ? (
              <Empty icon="letters" title={t('undelivered.none')} />
            ) : (
              <>
                <p class="muted">{t('undelivered.count', { count })}</p>
                <ul class="rows">
                  {messages.map((message) => (
                    <li key={message.id} class="row">
                      <div class="row-main">
                        <p>{message.text ?? message.id}</p>
                        {message.alerts > 1 && <p class="muted">{t('undelivered.alerts', { count: message.alerts })}</p>}
                        <p class="muted break">{t('undelivered.reason', { count: message.attempts, reason: message.reason })}</p>
                      </div>
                      <span class="muted row-time">
                        <Ago time={message.at} />
                      </span>
                      {canReplay && message.canReplay && (
                        <Button icon="replay" small busy={busy} label={t('undelivered.replayOne', { id: message.id })} onClick={() => void replay({ ids: [message.id] })}>
                          {t('undelivered.replay')}
                        </Button>
                      )}
                    </li>
                  ))}
                </ul>
              </>
            )
          }
        </Loaded>
      </div>
      <footer class="dialog-footer">
        <Button onClick={onClose}>{t('action.close')}</Button>
        {canReplay && (
          <Button kind="primary" icon="replay" busy={busy} onClick={() => void replay({ all: true })}>
            {t('undelivered.replayAll', { count: list.data?.count ?? 0 })}
          </Button>
        )}
      </footer>
    </Dialog>
  )
}
