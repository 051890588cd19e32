/** One person: pictures, visits, and everything that can be changed. */
import { useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { useResource, useThrottledEvent } from '../api/resource'
import type { Person, PersonDetails, Receipt, Sample } from '../api/types'
import { personPath } from '../enrol'
import { dateTime, similarity, t } from '../i18n'
import { address, navigate } from '../router'
import { Ago, Button, Empty, Facts, IconButton, Loaded, PageHeader, Section } from '../ui/controls'
import { Crop } from '../ui/crop'
import { FormDialog } from '../ui/dialog'
import { showReceipt } from '../ui/receipt-dialog'
import { Visits } from '../ui/sightings'
import { toast } from '../ui/toast'
import { UploadDialog } from '../ui/upload-dialog'
import { MergeDialog } from './people'

type Asked = 'rename' | 'merge' | 'erase' | 'upload' | { sample: Sample } | undefined

export function PersonPage({ id }: { id: string }) {
  const details = useResource<PersonDetails>(personPath(id))
  const [asked, setAsked] = useState<Asked>()
  useThrottledEvent('people', details.reload)
  const close = () => setAsked(undefined)
  const reload = () => {
    close()
    details.reload()
  }
  if (details.error?.status === 404) {
    return (
      <>
        <PageHeader title={id} lead={<a href="/people">{t('person.back')}</a>} />
        <Empty icon="person" title={t('person.unknown')} />
      </>
    )
  }
  return (
    <>
      <PageHeader title={details.data?.name ?? id} lead={<a href="/people">{t('person.back')}</a>}>
        {details.data && may('enrol') && (
          <>
            <Button icon="upload" onClick={() => setAsked('upload')}>
              {t('person.addPictures')}
            </Button>
            <Button icon="edit" onClick={() => setAsked('rename')}>
              {t('action.rename')}
            </Button>
            <Button icon="merge" onClick={() => setAsked('merge')}>
              {t('action.merge')}
            </Button>
            <Button icon="trash" kind="danger" onClick={() => setAsked('erase')}>
              {t('action.erase')}
            </Button>
          </>
        )}
      </PageHeader>
      <Loaded of={details}>
        {(data) => {
          const person: Person = data
          return (
            <>
              <div class="person-head">
                <Crop src={data.picture} alt={t('person.picture', { name: data.name })} size="large" />
                <Facts
                  items={[
                    [t('person.id'), <code>{data.id}</code>],
                    [t('person.enrolled'), dateTime(data.enrolledAt)],
                    [
                      t('person.lastSeen'),
                      data.lastSeen ? (
                        <>
                          <a href={address('cameras', data.lastSeen.camera)}>{data.lastSeen.camera}</a>, <Ago time={data.lastSeen.at} />
                        </>
                      ) : (
                        t('people.neverSeen')
                      ),
                    ],
                  ]}
                />
              </div>
              <Visits of={{ person: id }} />
              <Section title={t('person.samples', { count: data.samples })}>
                {/* Without its last picture, a person is erased. */}
                <Samples samples={data.sampleList} onRemove={(sample) => setAsked(data.sampleList.length === 1 ? 'erase' : { sample })} />
              </Section>
              {data.negativeSamples.length > 0 && (
                <Section title={t('person.negativeSamples', { name: data.name })}>
                  <p class="muted">{t('notThis.hint', { name: data.name })}</p>
                  <Samples samples={data.negativeSamples} onRemove={(sample) => setAsked({ sample })} />
                </Section>
              )}
              {asked === 'rename' && <RenameDialog person={person} onClose={close} onDone={reload} />}
              {asked === 'merge' && <MergeDialog person={person} into={undefined} onClose={close} onDone={(into) => navigate(address('people', into.id))} />}
              {asked === 'upload' && <UploadDialog person={person} onClose={close} onDone={reload} />}
              {asked === 'erase' && (
                <FormDialog
                  danger
                  title={t('erase.title', { name: data.name })}
                  submit={t('action.erase')}
                  onClose={close}
                  action={async () => {
                    const receipt = await send<Receipt>('DELETE', personPath(id))
                    showReceipt(t('erase.done', { name: data.name }), receipt)
                    navigate('/people')
                  }}
                >
                  <p>{t('erase.hint', { count: data.samples })}</p>
                </FormDialog>
              )}
              {typeof asked === 'object' && (
                <FormDialog
                  danger
                  title={t('removeSample.title')}
                  submit={t('action.remove')}
                  onClose={close}
                  action={async () => {
                    await send('DELETE', `${personPath(id)}/samples/${encodeURIComponent(asked.sample.id)}`)
                    toast(t('removeSample.done'))
                    reload()
                  }}
                >
                  <p>{t('removeSample.hint', { name: data.name })}</p>
                </FormDialog>
              )}
            </>
          )
        }}
      </Loaded>
    </>
  )
}

function Samples({ samples, onRemove }: { samples: Sample[]; onRemove: (sample: Sample) => void }) {
  return (
    <ul class="cards small">
      {samples.map((sample, i) => (
        <li key={sample.id} class="card">
          <Crop src={sample.picture} alt={t('person.sample', { index: i + 1 })} size="fill" />
          <p class="muted card-text">
            {t('person.quality', { quality: similarity(sample.quality) })}
            <br />
            {sample.stranger ? <a href={address('strangers', sample.stranger)}>{t('person.fromStranger')}</a> : sample.source}
          </p>
          {may('enrol') && (
            <div class="card-corner">
              <IconButton icon="trash" label={t('person.removeSample', { index: i + 1 })} onClick={() => onRemove(sample)} />
            </div>
          )}
        </li>
      ))}
    </ul>
  )
}

function RenameDialog({ person, onClose, onDone }: { person: Person; onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState(person.name)
  return (
    <FormDialog
      title={t('rename.title', { name: person.name })}
      submit={t('action.rename')}
      disabled={!name.trim()}
      onClose={onClose}
      action={async () => {
        await send('PATCH', personPath(person.id), { name: name.trim() })
        toast(t('rename.done', { name: name.trim() }))
        onDone()
      }}
    >
      <div class="field">
        <label for="new-name">{t('name.name')}</label>
        <input id="new-name" data-focus type="text" autocomplete="off" maxLength={100} required value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </div>
    </FormDialog>
  )
}
