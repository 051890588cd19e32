/** Live events: one connection for the whole dashboard, which heals by itself. */
import { signal } from '@preact/signals'
import type { Events } from './types'

export type Connection = 'connecting' | 'open' | 'broken'

const KINDS = ['frame', 'alert', 'acknowledgement', 'sighting', 'camera', 'people', 'dead-letter', 'ledger'] as const
/** The server sends the ledger every two seconds. After this long without any event, a connection that looks open is dead. */
const SILENCE_MS = 15_000
const WATCH_MS = 2_000
/** Pauses before new attempts, once the browser has given up. */
const PAUSES_MS = [500, 1_000, 2_000, 5_000]
/** A browser opens six connections to a server, for all its tabs together. So a hidden tab gives its own back. */
const HIDDEN_MS = 30_000

type Handler = (data: never) => void

/** What this file needs of the browser's EventSource. */
export interface Source {
  readyState: number
  onopen: (() => void) | null
  onerror: (() => void) | null
  addEventListener(kind: string, handler: (event: { data: string }) => void): void
  close(): void
}

export class EventStream {
  /** The state of the connection. */
  readonly connection = signal<Connection>('connecting')
  /** Grows when events may have been missed: everything on screen must be loaded again. */
  readonly epoch = signal(0)
  private source: Source | undefined
  private readonly handlers = new Map<string, Set<Handler>>()
  private opened = false
  private attempts = 0
  private heardAt = 0
  private retry: ReturnType<typeof setTimeout> | undefined
  private watch: ReturnType<typeof setInterval> | undefined

  /** `refused` is called when the server answers with an error instead of events. */
  constructor(
    private readonly connect: () => Source,
    private readonly refused: () => void = () => {},
  ) {}

  /** Connects; does nothing if it is connected. */
  start(): void {
    if (this.watch !== undefined) return
    this.watch = setInterval(() => {
      if (this.connection.peek() === 'open' && Date.now() - this.heardAt > SILENCE_MS) this.reconnect()
    }, WATCH_MS)
    this.open()
  }

  /** Disconnects, until the next `start`. */
  stop(): void {
    clearInterval(this.watch)
    this.watch = undefined
    clearTimeout(this.retry)
    this.source?.close()
    this.source = undefined
    this.connection.value = 'connecting'
  }

  /** Gives up the present connection and makes a new one at once. */
  reconnect(): void {
    if (this.watch === undefined) return
    this.connection.value = 'broken'
    this.open()
  }

  /** Calls `handler` for each event of `kind`, until the function that it returns is called. */
  on<K extends keyof Events>(kind: K, handler: (data: Events[K]) => void): () => void {
    const handlers = this.handlers.get(kind) ?? new Set()
    this.handlers.set(kind, handlers)
    handlers.add(handler as Handler)
    return () => handlers.delete(handler as Handler)
  }

  private open(): void {
    clearTimeout(this.retry)
    this.source?.close()
    const source = this.connect()
    this.source = source
    // Events of a connection that was given up are ignored.
    const current = (action: () => void) => () => {
      if (this.source === source) action()
    }
    source.onopen = current(() => {
      this.heardAt = Date.now()
      this.attempts = 0
      this.connection.value = 'open'
      if (this.opened) this.epoch.value++
      this.opened = true
    })
    source.onerror = current(() => {
      this.connection.value = 'broken'
      // 2: closed. Otherwise the browser connects again by itself, and names the last event that it has.
      if (source.readyState !== 2) return
      this.refused()
      const pause = PAUSES_MS[Math.min(this.attempts++, PAUSES_MS.length - 1)]
      this.retry = setTimeout(() => this.open(), pause)
    })
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        if (this.source !== source) return
        this.heardAt = Date.now()
        const data = JSON.parse(event.data) as never
        for (const handler of this.handlers.get(kind) ?? []) handler(data)
      })
    }
    source.addEventListener('reset', current(() => {
      this.heardAt = Date.now()
      this.epoch.value++
    }))
  }
}

/** Stops `stream` while the page is hidden, and connects anew when the network or the page comes back. */
export function followPage(stream: EventStream): () => void {
  let hidden: ReturnType<typeof setTimeout> | undefined
  const visibility = () => {
    clearTimeout(hidden)
    if (document.hidden) hidden = setTimeout(() => stream.stop(), HIDDEN_MS)
    else stream.start()
  }
  const online = () => stream.reconnect()
  document.addEventListener('visibilitychange', visibility)
  window.addEventListener('online', online)
  return () => {
    clearTimeout(hidden)
    document.removeEventListener('visibilitychange', visibility)
    window.removeEventListener('online', online)
  }
}
