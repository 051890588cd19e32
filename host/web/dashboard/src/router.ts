/** The page that the address names. Links are plain anchors; a click on one changes the page without loading the document. */
import { signal } from '@preact/signals'

export interface Place {
  /** The decoded parts of the path. */
  parts: string[]
  query: URLSearchParams
}

export const place = signal<Place>(read())

function read(): Place {
  const parts = window.location.pathname.split('/').filter(Boolean).map(decode)
  return { parts, query: new URLSearchParams(window.location.search) }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The address of a page. */
export function address(...parts: string[]): string {
  return '/' + parts.map(encodeURIComponent).join('/')
}

/** Goes to `target`, an address of this site. */
export function navigate(target: string, replace = false): void {
  const before = window.location.pathname
  window.history[replace ? 'replaceState' : 'pushState'](null, '', target)
  place.value = read()
  if (window.location.pathname === before) return
  window.scrollTo(0, 0)
  // A screen reader continues at the new page's heading. After the page has rendered.
  setTimeout(() => document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true }), 0)
}

/** Changes parameters of the address; null removes one. A change that Back should undo is not a `replace`. */
export function setQuery(changes: Record<string, string | null>, replace = true): void {
  const query = new URLSearchParams(window.location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value)
    else query.delete(name)
  }
  const text = query.toString()
  navigate(window.location.pathname + (text && `?${text}`), replace)
}

/** Follows the browser's Back and Forward, and clicks on links. */
export function startRouter(): void {
  window.addEventListener('popstate', () => (place.value = read()))
  document.addEventListener('click', (event) => {
    const link = (event.target as Element).closest?.('a')
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    if (link.target || link.hasAttribute('download') || link.origin !== window.location.origin || link.pathname.startsWith('/api/')) return
    if (link.hash) return
    event.preventDefault()
    navigate(link.pathname + link.search)
  })
}
