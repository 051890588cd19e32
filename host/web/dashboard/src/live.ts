/** What is known now, shared by all pages: cameras with their latest frames, the ledger, the number of open alerts. */
import { computed, effect, signal, type Signal } from '@preact/signals'
import { get, loadSession, session } from './api/client'
import { EventStream, followPage, type Source } from './api/events'
import type { Alerts, Camera, Cameras, DeadLetters, FrameSummary, LedgerSummary } from './api/types'
import { setServerTime } from './i18n'

export const stream = new EventStream(
  () => new EventSource('/api/v1/events') as unknown as Source,
  // Perhaps the session has ended; then the sign-in page appears.
  () => void loadSession().catch(() => {}),
)

/** The ids of the cameras in order; undefined until they are loaded. */
export const cameraIds = signal<string[] | undefined>(undefined)
/** The cameras of a filter, with the one that is chosen, also before the others are loaded. */
export function cameraOptions(chosen: string): { value: string; text: string }[] {
  const ids = cameraIds.value ?? []
  return (chosen && !ids.includes(chosen) ? [...ids, chosen] : ids).map((id) => ({ value: id, text: id }))
}
export const ledger = signal<LedgerSummary | undefined>(undefined)
export const openAlerts = signal<number | undefined>(undefined)
export const openDeadLetters = signal<number | undefined>(undefined)

const cameras = new Map<string, Signal<Camera>>()

/** The camera `id`. A tile that reads it renders for this camera's events only. */
export function cameraSignal(id: string): Signal<Camera> | undefined {
  return cameras.get(id)
}

/** How many cameras are silent. */
export const silentCameras = computed(() => (cameraIds.value ?? []).filter((id) => cameras.get(id)?.value.status === 'silent').length)

/** Adds or replaces a camera. The newest frame wins, whichever way it came. */
export function putCamera(camera: Camera): void {
  const known = cameras.get(camera.id)
  if (!known) {
    cameras.set(camera.id, signal(camera))
    return
  }
  const last = newest(known.peek().last ?? null, camera.last ?? null)
  known.value = { ...camera, last }
}

function newest(one: FrameSummary | null, other: FrameSummary | null): FrameSummary | null {
  if (!one || !other) return one ?? other
  return one.capturedAt > other.capturedAt ? one : other
}

/** Loads all cameras. Throws ApiError. */
export async function loadCameras(): Promise<void> {
  const answer = await get<Cameras>('/cameras')
  setServerTime(answer.now)
  for (const camera of answer.cameras) putCamera(camera)
  const ids = answer.cameras.map((camera) => camera.id).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
  // A new list only if it differs: the grid renders for it.
  if (ids.join('\n') !== cameraIds.peek()?.join('\n')) cameraIds.value = ids
}

let askedForCameras = false

function frameArrived(frame: FrameSummary): void {
  const camera = cameras.get(frame.camera)
  if (camera) {
    camera.value = { ...camera.peek(), last: frame, lastSeenAt: frame.capturedAt }
    return
  }
  // A camera that nobody has seen before.
  if (askedForCameras) return
  askedForCameras = true
  loadCameras()
    .catch(() => {})
    .finally(() => setTimeout(() => (askedForCameras = false), 1000))
}

/** Loads how many alerts and dead letters are open. Throws ApiError. */
export async function loadCounts(): Promise<void> {
  openAlerts.value = (await get<Alerts>('/alerts', { open: true, limit: 1 })).openCount
  openDeadLetters.value = (await get<DeadLetters>('/dead-letters', { state: 'open', limit: 1 })).openCount
}

/** Follows the events while somebody is signed in. */
export function startLive(): void {
  stream.on('frame', frameArrived)
  stream.on('camera', (camera) => {
    const isNew = !cameras.has(camera.id)
    putCamera(camera)
    if (isNew) cameraIds.value = [...(cameraIds.peek() ?? []), camera.id]
  })
  stream.on('ledger', (summary) => (ledger.value = summary))
  stream.on('alert', (alert) => {
    if (!alert.muted) openAlerts.value = (openAlerts.peek() ?? 0) + 1
  })
  stream.on('acknowledgement', (alert) => (openAlerts.value = Math.max(0, (openAlerts.peek() ?? 0) + (alert.acknowledged ? -1 : 1))))
  let counting: ReturnType<typeof setTimeout> | undefined
  stream.on('dead-letter', () => {
    counting ??= setTimeout(() => {
      counting = undefined
      loadCounts().catch(() => {})
    }, 1000)
  })
  // Not the session itself: it is loaded anew when a connection is refused, which must not make another connection at once.
  const signedIn = computed(() => Boolean(session.value))
  effect(() => {
    if (!signedIn.value) return
    stream.start()
    const release = followPage(stream)
    return () => {
      release()
      stream.stop()
    }
  })
  effect(() => {
    // Again after each interruption.
    if (!signedIn.value || stream.epoch.value < 0) return
    loadCameras().catch(() => {})
    loadCounts().catch(() => {})
  })
}
