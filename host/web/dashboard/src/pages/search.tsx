/** Who is on a picture, and where they were. */
import { useEffect, useState } from 'preact/hooks'
import { send } from '../api/client'
import type { Box, SearchAnswer } from '../api/types'
import { t } from '../i18n'
import { address } from '../router'
import { Ago, Empty, ErrorNote, Loading, PageHeader } from '../ui/controls'
import { Crop } from '../ui/crop'
import { DropZone } from '../ui/drop-zone'
import { FaceCard, Similarity } from '../ui/face-card'
import { SightingList } from '../ui/sightings'
import { Stage } from '../ui/stage'
import { useObjectUrl } from '../ui/upload-dialog'
import { strangerName } from '../faces'

export function SearchPage() {
  const [file, setFile] = useState<File>()
  const [state, setState] = useState<{ answer?: SearchAnswer; error?: unknown }>({})
  const search = (picture: File) => {
    setFile(picture)
    setState({})
    send<SearchAnswer>('POST', '/search', picture).then(
      (answer) => setState({ answer }),
      (error: unknown) => setState({ error }),
    )
  }
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const picture = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith('image/'))
      if (picture) search(picture)
    }
    document.addEventListener('paste', paste)
    return () => document.removeEventListener('paste', paste)
  }, [])
  return (
    <>
      <PageHeader title={t('nav.search')} lead={t('search.lead')} />
      <DropZone compact={file !== undefined} onFiles={([picture]) => picture && search(picture)} />
      <div role="status" aria-live="polite">
        {file && !state.answer && state.error === undefined && <Loading />}
        {state.answer && <p class="hidden">{t('search.found', { count: state.answer.faces.length })}</p>}
      </div>
      {state.error !== undefined && <ErrorNote error={state.error} />}
      {file && state.answer && <Answer file={file} answer={state.answer} />}
    </>
  )
}

function Answer({ file, answer }: { file: File; answer: SearchAnswer }) {
  const url = useObjectUrl(file)
  return (
    <div class="search-answer">
      <Stage picture={answer} src={url} alt={file.name} />
      {answer.faces.length === 0 && <Empty icon="person" title={t('search.noFace')} />}
      <div>
        <h2 class="search-count">{t('search.found', { count: answer.faces.length })}</h2>
        {answer.faces.map((face) => (
          <FaceCard key={face.index} face={face} picture={<FaceOfFile url={url} picture={answer} bounds={face.bounds} />}>
            {face.people.length > 0 && (
              <>
                <h4>{t('search.people')}</h4>
                <ul class="rows">
                  {face.people.map(({ person, name, similarity, lastSeenAt }) => (
                    <li key={person} class="row">
                      <div class="row-main">
                        <p>
                          <a href={address('people', person)}>{name}</a>
                        </p>
                        <p class="muted">{lastSeenAt ? <Ago time={lastSeenAt} /> : t('search.notSeen')}</p>
                      </div>
                      <Similarity value={similarity} />
                    </li>
                  ))}
                </ul>
              </>
            )}
            {face.strangers.length > 0 && (
              <>
                <h4>{t('search.strangers')}</h4>
                <ul class="rows">
                  {face.strangers.map(({ stranger, similarity }) => (
                    <li key={stranger.id} class="row">
                      <Crop src={stranger.best.crop} alt="" size="small" />
                      <div class="row-main">
                        <p>
                          <a href={address('strangers', stranger.id)}>{strangerName(stranger)}</a>
                        </p>
                        <p class="muted">
                          {stranger.cameras.join(', ')}, <Ago time={stranger.lastSeenAt} />
                        </p>
                      </div>
                      <Similarity value={similarity} />
                    </li>
                  ))}
                </ul>
              </>
            )}
            <h4>{t('search.sightings')}</h4>
            {face.sightings.length ? <SightingList sightings={face.sightings} withName /> : <p class="muted">{t('search.noSightings')}</p>}
          </FaceCard>
        ))}
      </div>
    </div>
  )
}

/** The part of the picture round a face, cut by the browser: the server does not keep the picture. */
function FaceOfFile({ url, picture, bounds }: { url: string; picture: SearchAnswer; bounds: Box }) {
  const side = Math.max(bounds.width, bounds.height) * 1.5
  const x = bounds.x + bounds.width / 2 - side / 2
  const y = bounds.y + bounds.height / 2 - side / 2
  return (
    <svg class="crop large" viewBox={`${x} ${y} ${side} ${side}`} aria-hidden="true">
      <image href={url} width={picture.width} height={picture.height} preserveAspectRatio="none" />
    </svg>
  )
}
