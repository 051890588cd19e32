/** The receipt of an erasure. It stays open over whatever page comes next, until it is closed. */
import { signal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import type { Receipt } from '../api/types'
import { t } from '../i18n'
import { Button } from './controls'
import { Dialog } from './dialog'
import { Icon } from './icon'

const shown = signal<{ title: string; receipt: Receipt } | undefined>(undefined)

/** Shows the receipt; `title` says who was erased. */
export function showReceipt(title: string, receipt: Receipt): void {
  shown.value = { title, receipt }
}

export function ReceiptDialog() {
  if (!shown.value) return null
  return <OpenReceipt title={shown.value.title} receipt={shown.value.receipt} />
}

function OpenReceipt({ title, receipt }: { title: string; receipt: Receipt }) {
  const close = () => (shown.value = undefined)
  const file = useMemo(() => URL.createObjectURL(new Blob([JSON.stringify(receipt)], { type: 'application/json' })), [receipt])
  useEffect(() => () => URL.revokeObjectURL(file), [file])
  return (
    <Dialog title={title} onClose={close} sticky>
      <div class="dialog-body">
        <p>{t('receipt.hint')}</p>
        {!receipt.signed && <p class="note warning">{t('receipt.unsigned')}</p>}
      </div>
      <footer class="dialog-footer">
        <a class="button plain" href={file} download={`receipt-${receipt.id}.json`} data-focus>
          <Icon name="download" size={16} />
          {t('receipt.save')}
        </a>
        <Button onClick={close}>{t('action.close')}</Button>
      </footer>
    </Dialog>
  )
}
