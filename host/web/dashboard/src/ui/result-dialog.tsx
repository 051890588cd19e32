/** “Why?”: the result of one frame, with what the models and rules said. Opened by `?result=PARTITION/OFFSET` on any page. */
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { may, send } from '../api/client'
import { useResource } from '../api/resource'
import type { FaceSummary, Position, ResultView } from '../api/types'
import { personPath } from '../enrol'
import { dateTime, number, t } from '../i18n'
import { place, setQuery } from '../router'
import { Badge, Button, Empty, Facts, Loaded, Section } from './controls'
import { Crop } from './crop'
import { Dialog, FormDialog } from './dialog'
import { FaceCard } from './face-card'
import { NameDialog } from './name-dialog'
import { Stage } from './stage'
import { toast } from './toast'

/** Opens the result of the frame at `position`. */
export function openResult({ partition, offset }: Position): void {
  setQuery({ result: `${partition}/${offset}` }, false)
}

export function ResultDialog() {
  const wanted = place.value.query.get('result') ?? ''
  if (!/^\d+\/\d+$/.test(wanted)) return null
  return <OpenResult key={wanted} position={wanted} />
}

function OpenResult({ position }: { position: string }) {
  const result = useResource<ResultView & { state?: string }>(`/results/${position}`)
  const [naming, setNaming] = useState<FaceSummary>()
  const [denied, setDenied] = useState<FaceSummary>()
  const waiting = result.data?.state === 'waiting'
  useEffect(() => {
    if (!waiting || result.loading) return
    const timer = setTimeout(result.reload, 1000)
    return () => clearTimeout(timer)
  }, [waiting, result.loading])
  return (
    <Dialog title={result.data?.camera ? t('result.title', { camera: result.data.camera }) : t('result.loading')} wide onClose={() => setQuery({ result: null })}>
      <div class="dialog-body">
        <Loaded of={result}>
          {(data) =>
            waiting ? (
              <Empty icon="replay" title={t('result.waiting')} />
            ) : (
              <Content result={data} onName={setNaming} onDeny={setDenied} />
            )
          }
        </Loaded>
      </div>
      {naming && result.data && (
        <NameDialog
          source={naming.stranger ? { stranger: naming.stranger.id } : { frame: result.data.position, face: naming.bounds }}
          crop={naming.crop ?? null}
          onClose={() => setNaming(undefined)}
          onDone={() => {
            setNaming(undefined)
            result.reload()
          }}
        />
      )}
      {denied?.person && result.data && (
        <NotThisPerson face={denied} person={denied.person} position={result.data.position} onClose={() => setDenied(undefined)} />
      )}
    </Dialog>
  )
}

/** Asks whether the face was taken for somebody else. The result stays as it was judged; later faces like this one are not that person. */
function NotThisPerson({ face, person, position, onClose }: { face: FaceSummary; person: string; position: Position; onClose: () => void }) {
  const name = face.name ?? person
  return (
    <FormDialog
      title={t('notThis.title', { name })}
      submit={t('action.notThisPerson')}
      onClose={onClose}
      action={async () => {
        await send('POST', `${personPath(person)}/negative-samples`, { frame: position, face: face.bounds })
        toast(t('notThis.done', { name }))
        onClose()
      }}
    >
      <p>{t('notThis.hint', { name })}</p>
    </FormDialog>
  )
}

function Content({ result, onName, onDeny }: { result: ResultView; onName: (face: FaceSummary) => void; onDeny: (face: FaceSummary) => void }) {
  const { timings } = result
  const steps = [
    { name: t('stage.decode'), value: timings.decodeMs },
    { name: t('stage.detect'), value: timings.detectMs },
    { name: t('stage.embed'), value: timings.embedMs },
    { name: t('stage.rules'), value: timings.rulesMs },
  ]
  return (
    <>
      <Stage picture={result} src={result.picture} alt={t('picture.frame', { camera: result.camera, time: dateTime(result.capturedAt) })} />
      <p class="muted">
        {dateTime(result.capturedAt)} · {t('result.position', { partition: String(result.position.partition), offset: String(result.position.offset) })}
        {' '}· {t('result.sequence', { sequence: result.sequence })}
      </p>
      {result.faces.length === 0 && <Empty icon="person" title={t('result.noFaces')} />}
      {result.faces.map((face) => (
        <FaceCard key={face.index} face={face} picture={<Crop src={face.crop} alt="" size="large" />}>
          {face.decision !== 'known' && !face.stranger?.name && may('enrol') && (
            <Button icon="person" small onClick={() => onName(face)}>
              {t('action.whoIsThis')}
            </Button>
          )}
          {face.decision === 'known' && face.person && may('enrol') && (
            <Button icon="close" small onClick={() => onDeny(face)}>
              {t('action.notThisPerson')}
            </Button>
          )}
        </FaceCard>
      ))}
      {result.skipped.length > 0 && (
        <Section title={t('result.skipped')}>
          <ul class="plain">
            {result.skipped.map((skipped) => (
              <li key={skipped.rule}>
                <Badge tone="warning">{skipped.rule}</Badge> {skipped.reason}: {skipped.message}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t('result.how')}>
        <Facts
          items={[
            ...result.rules.map((rule): [string, string] => [t('result.rule'), `${rule.name} ${rule.version ?? ''}`]),
            ...result.models.map((model): [string, ComponentChildren] => [
              t('result.model'),
              <>
                {model.name} {model.version} <code>{model.sha256.slice(0, 12)}</code>
              </>,
            ]),
            [t('result.search'), result.search],
            ...steps.map((step): [string, string] => [step.name, t('time.milliseconds', { value: number(step.value, 1) })]),
          ]}
        />
      </Section>
    </>
  )
}
