/** Hooks that load data, and load it again when events were missed. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { stream } from '../live'
import { ApiError, get, type Query } from './client'
import type { Events, Page } from './types'

export interface Resource<T> {
  /** Undefined until the first answer. While it loads again, the former data stay. */
  data: T | undefined
  error: ApiError | undefined
  loading: boolean
  reload: () => void
  /** Changes the data on screen, as an event tells. */
  change: (next: (data: T) => T) => void
}

/** Loads `path`; null loads nothing. */
export function useResource<T>(path: string | null, query: Query = {}): Resource<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: ApiError; loading: boolean }>({ key: '', loading: true })
  const [turn, setTurn] = useState(0)
  const key = JSON.stringify([path, query])
  const epoch = stream.epoch.value
  useEffect(() => {
    if (path === null) return
    const abort = new AbortController()
    setState((old) => (old.key === key ? { ...old, loading: true } : { key, loading: true }))
    get<T>(path, query, abort.signal).then(
      (data) => setState({ key, data, loading: false }),
      (error: unknown) => {
        if (abort.signal.aborted) return
        const problem = error instanceof ApiError ? error : new ApiError(0, String(error))
        setState((old) => ({ key, ...(old.data !== undefined && { data: old.data }), error: problem, loading: false }))
      },
    )
    return () => abort.abort()
  }, [key, turn, epoch])
  const reload = useCallback(() => setTurn((n) => n + 1), [])
  const change = useCallback((next: (data: T) => T) => {
    setState((old) => (old.data === undefined ? old : { ...old, data: next(old.data) }))
  }, [])
  // Between a new path and its effect, the data of the former path must not appear under the new one.
  const same = state.key === key
  return { data: same ? state.data : undefined, error: same ? state.error : undefined, loading: !same || state.loading, reload, change }
}

export interface Pages<T> extends Resource<T> {
  /** From 0, the newest. */
  page: number
  newer: (() => void) | undefined
  older: (() => void) | undefined
  /** Goes to the newest page, and loads it again. */
  first: () => void
}

/** Loads a list page by page. Only one page is on screen, so that a long list stays as fluid as a short one. */
export function usePages<T extends Page>(path: string, query: Query = {}): Pages<T> {
  const key = JSON.stringify([path, query])
  const [cursors, setCursors] = useState<{ key: string; before: string[] }>({ key, before: [] })
  const before = cursors.key === key ? cursors.before : []
  const resource = useResource<T>(path, { ...query, before: before.at(-1) })
  const next = resource.data?.next
  return {
    ...resource,
    page: before.length,
    newer: before.length ? () => setCursors({ key, before: before.slice(0, -1) }) : undefined,
    older: next ? () => setCursors({ key, before: [...before, next] }) : undefined,
    first: () => {
      setCursors({ key, before: [] })
      resource.reload()
    },
  }
}

/** Calls `handler` for each event of `kind` while the component is on screen. */
export function useEvent<K extends keyof Events>(kind: K, handler: (data: Events[K]) => void): void {
  const latest = useRef(handler)
  latest.current = handler
  useEffect(() => stream.on(kind, (data) => latest.current(data)), [kind])
}

/** Calls `action` after an event of `kind`: at most once in `pause` milliseconds, however many events come. */
export function useThrottledEvent(kind: keyof Events, action: () => void, pause = 1000): void {
  const waiting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEvent(kind, () => {
    waiting.current ??= setTimeout(() => {
      waiting.current = undefined
      action()
    }, pause)
  })
  useEffect(() => () => clearTimeout(waiting.current), [])
}

/** Calls `action` every `period` milliseconds while the component is on screen and the page visible. */
export function useInterval(action: () => void, period: number): void {
  const latest = useRef(action)
  latest.current = action
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), period)
    return () => clearInterval(timer)
  }, [period])
}
