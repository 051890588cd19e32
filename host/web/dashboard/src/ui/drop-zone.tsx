/** A place to drop pictures on, or to choose them with the keyboard. */
import { useId, useState } from 'preact/hooks'
import { t } from '../i18n'
import { Icon } from './icon'

const KINDS = ['image/jpeg', 'image/png', 'image/webp']

export function DropZone({ multiple, compact, onFiles }: { multiple?: boolean; compact?: boolean; onFiles: (files: File[]) => void }) {
  const [over, setOver] = useState(false)
  const [refused, setRefused] = useState(false)
  const id = useId()
  const take = (list: FileList | null | undefined) => {
    const files = [...(list ?? [])]
    const pictures = files.filter((file) => KINDS.includes(file.type))
    setRefused(pictures.length < files.length)
    if (pictures.length) onFiles(multiple ? pictures : pictures.slice(0, 1))
  }
  return (
    <div
      class={`drop-zone ${over ? 'over' : ''} ${compact ? 'compact' : ''}`}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        take(event.dataTransfer?.files)
      }}
    >
      <input
        id={id}
        class="hidden"
        type="file"
        accept={KINDS.join(',')}
        multiple={multiple}
        onChange={(event) => {
          take(event.currentTarget.files)
          event.currentTarget.value = ''
        }}
      />
      <label for={id}>
        <Icon name="upload" size={24} />
        <span>{multiple ? t('drop.several') : t('drop.single')}</span>
        <span class="muted">{t('drop.kinds')}</span>
      </label>
      {refused && (
        <p class="note critical" role="alert">
          {t('drop.refused')}
        </p>
      )}
    </div>
  )
}
