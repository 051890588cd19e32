/** Everybody who is enrolled, as cards. A card dropped on another merges the two; so does its button. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { usePages, useThrottledEvent } from '../api/resource'
import type { People, Person } from '../api/types'
import { personPath } from '../enrol'
import { t } from '../i18n'
import { address, navigate, place, setQuery } from '../router'
import { Ago, Button, Empty, IconButton, Loaded, PageHeader, Pager, SearchField } from '../ui/controls'
import { Crop } from '../ui/crop'
import { FormDialog } from '../ui/dialog'
import { MergeableCard } from '../ui/mergeable-card'
import { PersonChooser } from '../ui/name-dialog'
import { toast } from '../ui/toast'
import { UploadDialog } from '../ui/upload-dialog'

const SIZE = 60

export function PeoplePage() {
  const query = place.value.query.get('query') ?? ''
  const people = usePages<People>('/people', { query, limit: SIZE })
  const [dialog, setDialog] = useState<'upload' | { merge: Person; into?: Person }>()
  useThrottledEvent('people', people.reload)
  const close = () => setDialog(undefined)
  return (
    <>
      <PageHeader title={t('nav.people')} lead={people.data && t('people.total', { count: people.data.total })}>
        <SearchField label={t('people.search')} value={query} onChange={(text) => setQuery({ query: text.trim() || null })} />
        {may('enrol') && (
          <Button kind="primary" icon="plus" onClick={() => setDialog('upload')}>
            {t('people.enrol')}
          </Button>
        )}
      </PageHeader>
      <Loaded of={people}>
        {(data) =>
          data.people.length === 0 ? (
            <Empty icon="people" title={query ? t('people.notFound') : t('people.none')}>
              {!query && t('people.noneHint')}
            </Empty>
          ) : (
            <ul class="cards" aria-label={t('nav.people')}>
              {data.people.map((person) => (
                <li key={person.id}>
                  <PersonCard person={person} people={data.people} onMerge={(merge, into) => setDialog({ merge, ...(into && { into }) })} />
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <Pager pages={people} label={t('people.pages')} />
      {dialog === 'upload' && <UploadDialog onClose={close} onDone={(person) => navigate(address('people', person.id))} />}
      {typeof dialog === 'object' && (
        <MergeDialog
          person={dialog.merge}
          into={dialog.into}
          onClose={close}
          onDone={() => {
            close()
            people.reload()
          }}
        />
      )}
    </>
  )
}

function PersonCard({ person, people, onMerge }: { person: Person; people: Person[]; onMerge: (person: Person, into?: Person) => void }) {
  const merge = (dragged: string) => {
    const other = people.find((one) => one.id === dragged)
    if (other) onMerge(other, person)
  }
  return (
    <MergeableCard kind="person" id={person.id} onDrop={merge}>
      <a class="card-link" href={address('people', person.id)} draggable={false}>
        <Crop src={person.picture} alt="" size="fill" />
        <span class="card-title">{person.name}</span>
      </a>
      <p class="muted card-text">
        {t('people.samples', { count: person.samples })}
        <br />
        {person.lastSeen ? (
          <>
            {person.lastSeen.camera}, <Ago time={person.lastSeen.at} />
          </>
        ) : (
          t('people.neverSeen')
        )}
      </p>
      {may('enrol') && (
        <div class="card-corner">
          <IconButton icon="merge" label={t('people.mergeOf', { name: person.name })} onClick={() => onMerge(person)} />
        </div>
      )}
    </MergeableCard>
  )
}

/** Moves all pictures of `person` to another one. */
export function MergeDialog({ person, into, onClose, onDone }: { person: Person; into: Person | undefined; onClose: () => void; onDone: (into: Person) => void }) {
  const [name, setName] = useState(into?.name ?? '')
  const [target, setTarget] = useState(into)
  return (
    <FormDialog
      title={t('merge.title', { name: person.name })}
      submit={t('action.merge')}
      disabled={!target}
      onClose={onClose}
      action={async () => {
        await send('POST', `${personPath(person.id)}/merge`, { into: target!.id })
        toast(t('merge.done', { name: person.name, into: target!.name }))
        onDone(target!)
      }}
    >
      <PersonChooser label={t('merge.into')} name={name} except={person.id} chosen={target} onName={setName} onChoose={setTarget} />
      <p class="hint">{target ? t('merge.hint', { name: person.name, into: target.name }) : t('merge.choose')}</p>
    </FormDialog>
  )
}
