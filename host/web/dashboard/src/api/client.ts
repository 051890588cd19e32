/** Requests to the HTTP API: JSON in both directions, errors as exceptions that say what to do. */
import { signal } from '@preact/signals'
import type { Problem, Session } from './types'

const BASE = '/api/v1'

/** The browser's session: undefined while it loads, null when nobody is signed in. */
export const session = signal<Session | null | undefined>(undefined)

/** The server refused a request, or could not be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>

/** The address of `path` below the API with those parameters of `query` that have a value. */
export function apiPath(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value))
  }
  const text = parameters.toString()
  return BASE + path + (text && `?${text}`)
}

/** Fetches `path`. Throws ApiError; AbortError if `abort` was signalled. */
export function get<T>(path: string, query?: Query, abort?: AbortSignal): Promise<T> {
  return request<T>('GET', apiPath(path, query), undefined, abort)
}

/** Sends `body`: a Blob as it is, anything else as JSON. Throws ApiError. */
export function send<T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown, query?: Query): Promise<T> {
  return request<T>(method, apiPath(path, query), body)
}

async function request<T>(method: string, address: string, body?: unknown, abort?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (method !== 'GET' && session.value) headers['x-csrf-token'] = session.value.csrf
  let payload: BodyInit | undefined
  if (body instanceof Blob) {
    headers['content-type'] = body.type
    payload = body
  } else if (body !== undefined) {
    headers['content-type'] = 'application/json'
    payload = JSON.stringify(body)
  }
  let answer: Response
  try {
    answer = await fetch(address, { method, headers, credentials: 'same-origin', ...(payload && { body: payload }), ...(abort && { signal: abort }) })
  } catch (error) {
    if (abort?.aborted) throw error
    throw new ApiError(0, '')
  }
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T
  // A session that ended: the sign-in page takes over.
  if (answer.status === 401 && session.value?.authentication) session.value = null
  throw new ApiError(answer.status, await problemText(answer))
}

async function problemText(answer: Response): Promise<string> {
  try {
    const problem = (await answer.json()) as Problem
    return problem.detail || problem.title || answer.statusText
  } catch {
    return answer.statusText || `HTTP ${answer.status}`
  }
}

/** Loads the session. Throws ApiError if the server cannot be reached. */
export async function loadSession(): Promise<void> {
  try {
    session.value = await get<Session>('/session')
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error
    session.value = null
  }
}

/** Signs in. Throws ApiError with status 401 for a wrong token. */
export async function signIn(token: string): Promise<void> {
  session.value = await send<Session>('POST', '/session', { token })
}

export async function signOut(): Promise<void> {
  await send('DELETE', '/session')
  session.value = null
}

/** Whether the signed-in role includes `role`. */
export function may(role: Session['role']): boolean {
  const order = ['view', 'enrol', 'admin']
  return session.value ? order.indexOf(session.value.role) >= order.indexOf(role) : false
}
