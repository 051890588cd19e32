/** What is written about a face. */
import type { FoundFace, Stranger } from './api/types'
import { t } from './i18n'

export type FaceKind = 'known' | 'stranger' | 'undecided'

export function faceKind(face: FoundFace): FaceKind {
  if (face.decision === 'known') return 'known'
  return face.decision === 'unknown' ? 'stranger' : 'undecided'
}

/** A stranger's id, short enough for a label. */
export function shortId(id: string): string {
  const plain = id.replace(/^stranger-/, '')
  return plain.length > 10 ? plain.slice(0, 6) : plain
}

/** The name of the person as whom a stranger was enrolled, or the short id. */
export function strangerName(stranger: Stranger): string {
  return stranger.name ?? t('face.strangerId', { id: shortId(stranger.id) })
}

/** A stranger's path in the API. */
export function strangerPath(id: string): string {
  return `/strangers/${encodeURIComponent(id)}`
}

/** The name of a face, or what stands for it. */
export function faceLabel(face: FoundFace): string {
  if (face.decision === 'known') return face.name || face.person || t('face.known')
  if (face.stranger?.name) return face.stranger.name
  if (face.stranger) return t('face.strangerId', { id: shortId(face.stranger.id) })
  return face.decision === 'unknown' ? t('face.stranger') : t('face.undecided')
}
