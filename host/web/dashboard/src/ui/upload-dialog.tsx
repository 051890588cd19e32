/** Enrolment by pictures: of a new person, or more pictures of one. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Person } from '../api/types'
import { enrolPictures, type UploadOutcome } from '../enrol'
import { t } from '../i18n'
import { Checkbox, IconButton } from './controls'
import { FormDialog } from './dialog'
import { DropZone } from './drop-zone'
import { PersonChooser } from './name-dialog'
import { toast } from './toast'

export function UploadDialog({ person, onClose, onDone }: { person?: Person; onClose: () => void; onDone: (person: Person) => void }) {
  const [files, setFiles] = useState<File[]>([])
  const [name, setName] = useState(person?.name ?? '')
  const [chosen, setChosen] = useState<Person | undefined>(person)
  const [outcome, setOutcome] = useState<UploadOutcome>()
  const [force, setForce] = useState(false)
  const finished = outcome?.person
  return (
    <FormDialog
      title={person ? t('upload.titleMore', { name: person.name }) : t('upload.title')}
      submit={finished ? t('upload.finish') : t('action.enrol')}
      disabled={!finished && (!name.trim() || files.length === 0)}
      onClose={onClose}
      action={async () => {
        if (finished) return onDone(finished)
        const result = await enrolPictures(files, name.trim(), chosen?.id, force)
        if (result.person) toast(t('upload.done', { name: result.person.name, count: result.accepted }))
        if (result.person && result.remarks.length === 0) return onDone(result.person)
        // Something to read first.
        setOutcome(result)
        setFiles(result.resembling)
      }}
    >
      {!finished && (
        <>
          {!person && <PersonChooser label={t('name.name')} name={name} chosen={chosen} onName={setName} onChoose={setChosen} />}
          <DropZone multiple onFiles={(more) => setFiles([...files, ...more])} />
          <ul class="thumbnails">
            {files.map((file, i) => (
              <li key={i}>
                <Thumbnail file={file} />
                <IconButton icon="close" label={t('upload.remove', { file: file.name })} onClick={() => setFiles(files.filter((one) => one !== file))} />
              </li>
            ))}
          </ul>
          <p class="hint">{t('upload.hint')}</p>
          {outcome !== undefined && outcome.resembling.length > 0 && <Checkbox label={t('name.force')} checked={force} onChange={setForce} />}
        </>
      )}
      <div role="status" aria-live="polite">
        {outcome && (
          <>
            <p>{t('upload.outcome', { count: outcome.accepted })}</p>
            <ul class="plain">
              {outcome.remarks.map(({ file, text, refused }, i) => (
                <li key={i} class={`note ${refused ? 'critical' : 'warning'}`}>
                  <strong>{file}</strong>: {text}
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </FormDialog>
  )
}

/** The address of a file in memory, for as long as the component is on screen. */
export function useObjectUrl(file: Blob): string {
  const url = useMemo(() => URL.createObjectURL(file), [file])
  useEffect(() => () => URL.revokeObjectURL(url), [url])
  return url
}

function Thumbnail({ file }: { file: File }) {
  return <img src={useObjectUrl(file)} alt={file.name} />
}
