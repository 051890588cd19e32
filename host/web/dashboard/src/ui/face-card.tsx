/** One face, and why it was judged so: the decision, its reason, the candidates with their similarities. */
import type { ComponentChildren } from 'preact'
import type { Candidate, FoundFace } from '../api/types'
import { faceKind, faceLabel } from '../faces'
import { dateTime, duration, similarity, t } from '../i18n'
import { address } from '../router'
import { Badge, Facts, type Tone } from './controls'

const tones: Record<string, Tone> = { known: 'good', stranger: 'warning', undecided: 'neutral' }

/** A similarity as a bar from 0 to 1, and as a number. */
export function Similarity({ value }: { value: number }) {
  return (
    <span class="similarity">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track" width="100" height="6" rx="3" />
        <rect class="value" width={Math.min(Math.max(value, 0), 1) * 100} height="6" rx="3" />
      </svg>
      <span class="number">{similarity(value)}</span>
    </span>
  )
}

export function Candidates({ candidates }: { candidates: Candidate[] }) {
  if (candidates.length === 0) return <p class="muted">{t('face.noCandidates')}</p>
  return (
    <ol class="candidates">
      {candidates.map((candidate) => (
        <li key={candidate.person}>
          <a href={address('people', candidate.person)}>{candidate.name}</a>
          <Similarity value={candidate.similarity} />
        </li>
      ))}
    </ol>
  )
}

export function FaceCard({ face, picture, children }: { face: FoundFace; picture: ComponentChildren; children?: ComponentChildren }) {
  const kind = faceKind(face)
  const { stranger } = face
  return (
    <article class="face-card">
      {picture}
      <div class="face-facts">
        <h3>
          {face.decision === 'known' && face.person ? <a href={address('people', face.person)}>{faceLabel(face)}</a> : stranger ? <a href={address('strangers', stranger.id)}>{faceLabel(face)}</a> : faceLabel(face)}{' '}
          <Badge tone={tones[kind]}>{t(`face.kind.${kind}`)}</Badge>
        </h3>
        {face.reason && <p class="muted">{face.reason}</p>}
        <Facts
          items={[
            [t('face.confidence'), face.confidence != null && similarity(face.confidence)],
            [t('face.quality'), similarity(face.quality)],
            [t('stranger.firstSeen'), stranger && dateTime(stranger.firstSeenAt)],
            [t('stranger.stays'), stranger && duration(stranger.dwell)],
            [t('stranger.visits'), stranger?.visits],
          ]}
        />
        <h4>{t('face.candidates')}</h4>
        <Candidates candidates={face.candidates} />
        {children}
      </div>
    </article>
  )
}
