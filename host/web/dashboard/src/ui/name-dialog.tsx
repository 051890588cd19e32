/** “Who is this?”: a name for a stranger or for a face, or one of the people enrolled already. */
import { useEffect, useId, useState } from 'preact/hooks'
import { useResource } from '../api/resource'
import type { People, Person } from '../api/types'
import { enrol, isResemblance, type EnrolmentSource } from '../enrol'
import { t } from '../i18n'
import { Checkbox } from './controls'
import { Crop } from './crop'
import { FormDialog } from './dialog'
import { toast } from './toast'

/** Choose a person by typing: `onChoose` gets an enrolled person, or undefined while the name is a new one. */
export function PersonChooser(props: { label: string; name: string; except?: string; chosen: Person | undefined; onName: (name: string) => void; onChoose: (person: Person | undefined) => void }) {
  const { label, name, chosen, onName, onChoose, except } = props
  const id = useId()
  const [query, setQuery] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => setQuery(name.trim()), 200)
    return () => clearTimeout(timer)
  }, [name])
  const found = useResource<People>(query && !chosen ? '/people' : null, { query, limit: 6 })
  const people = chosen || !query ? [] : (found.data?.people ?? []).filter((person) => person.id !== except)
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        data-focus
        type="text"
        autocomplete="off"
        maxLength={100}
        required
        value={name}
        aria-describedby={`${id}-hint`}
        onInput={(event) => {
          onChoose(undefined)
          onName(event.currentTarget.value)
        }}
      />
      <div id={`${id}-hint`} aria-live="polite">
        {chosen && <p class="hint">{t('name.addsTo', { name: chosen.name, count: chosen.samples })}</p>}
        {people.length > 0 && <p class="hint">{t('name.alreadyEnrolled')}</p>}
      </div>
      {people.length > 0 && (
        <ul class="choices">
          {people.map((person) => (
            <li key={person.id}>
              <button
                type="button"
                class="choice"
                onClick={() => {
                  onChoose(person)
                  onName(person.name)
                }}
              >
                <Crop src={person.picture} alt="" size="small" />
                <span>
                  {person.name}
                  <span class="muted"> {person.id}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

export function NameDialog({ source, crop, onClose, onDone }: { source: EnrolmentSource; crop: string | null; onClose: () => void; onDone: (person: Person) => void }) {
  const [name, setName] = useState('')
  const [chosen, setChosen] = useState<Person>()
  const [resembles, setResembles] = useState(false)
  const [force, setForce] = useState(false)
  return (
    <FormDialog
      title={t('name.title')}
      submit={t('action.enrol')}
      disabled={!name.trim()}
      onClose={onClose}
      action={async () => {
        try {
          const { person, warnings } = await enrol(source, name.trim(), chosen?.id, force)
          toast([t('name.done', { name: person.name }), ...warnings].join('. '))
          onDone(person)
        } catch (error) {
          setResembles(isResemblance(error))
          throw error
        }
      }}
    >
      <div class="name-form">
        <Crop src={crop} alt={t('name.picture')} size="large" />
        <div>
          <PersonChooser label={t('name.name')} name={name} chosen={chosen} onName={setName} onChoose={setChosen} />
          <p class="hint">{'stranger' in source ? t('name.strangerHint') : t('name.faceHint')}</p>
          {resembles && <Checkbox label={t('name.force')} checked={force} onChange={setForce} />}
        </div>
      </div>
    </FormDialog>
  )
}
