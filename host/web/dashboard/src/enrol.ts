/** Enrolment of people from pictures, faces of frames and strangers. */
import { ApiError, get, send } from './api/client'
import type { Box, Enrolment, Person, PersonDetails, Position } from './api/types'

export type EnrolmentSource = { stranger: string } | { frame: Position; face: Box }

/** An id for a new person: the name in plain letters, which an operator recognises in logs. Ids that begin with `stranger-` are of strangers. */
export function idFromName(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/ß/g, 'ss')
    .replace(/[äöü]/g, (letter) => `${{ ä: 'a', ö: 'o', ü: 'u' }[letter]}e`)
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
  const id = plain.startsWith('stranger-') ? `person-${plain}` : plain
  return Array.from(id).slice(0, 30).join('') || 'person'
}

/** An id that nobody has yet, made of `name`. Throws ApiError. */
async function freeId(name: string): Promise<string> {
  const base = idFromName(name)
  for (let i = 1; ; i++) {
    const id = i === 1 ? base : `${base}-${i}`
    try {
      await get<PersonDetails>(personPath(id))
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return id
      throw error
    }
  }
}

export function personPath(id: string): string {
  return `/people/${encodeURIComponent(id)}`
}

/**
 * The face resembles somebody else who is enrolled, so that two people would be confused. The message says whom. An operator who knows
 * better repeats the call with `force`.
 */
export function isResemblance(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409
}

/** Adds what `source` shows to `person`, or to a new person of this name. Throws ApiError; see `isResemblance`. */
export async function enrol(source: EnrolmentSource, name: string, person: string | undefined, force: boolean): Promise<Enrolment> {
  const id = person ?? (await freeId(name))
  if ('stranger' in source) return send<Enrolment>('POST', '/people', { name, id, stranger: source.stranger, force })
  return send<Enrolment>('POST', `${personPath(id)}/samples`, source, { name, force })
}

export interface UploadOutcome {
  person: Person | undefined
  accepted: number
  /** Of each refused picture: why. Of an accepted one: its warnings. */
  remarks: { file: string; text: string; refused: boolean }[]
  /** The pictures that were refused only because they resemble somebody else. */
  resembling: File[]
}

/** Enrols pictures, one after the other, under `person` or a new person. A refused picture does not stop the others. Throws ApiError for other errors. */
export async function enrolPictures(files: File[], name: string, person: string | undefined, force: boolean): Promise<UploadOutcome> {
  const id = person ?? (await freeId(name))
  const outcome: UploadOutcome = { person: undefined, accepted: 0, remarks: [], resembling: [] }
  for (const file of files) {
    try {
      const { person: enrolled, warnings } = await send<Enrolment>('POST', `${personPath(id)}/samples`, file, { name, force })
      outcome.person = enrolled
      outcome.accepted++
      for (const text of warnings) outcome.remarks.push({ file: file.name, text, refused: false })
    } catch (error) {
      if (!(error instanceof ApiError) || ![409, 413, 415, 422].includes(error.status)) throw error
      if (isResemblance(error)) outcome.resembling.push(file)
      outcome.remarks.push({ file: file.name, text: error.message, refused: true })
    }
  }
  return outcome
}
