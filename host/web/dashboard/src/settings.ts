/** Choices of this browser: language and theme. They stay in its local storage. */
import { effect, signal } from '@preact/signals'
import { languages, type Language } from './messages'

export type Theme = 'system' | 'light' | 'dark'
export const themes: Theme[] = ['system', 'light', 'dark']

export const language = signal<Language>(choose('language', Object.keys(languages) as Language[], browserLanguage()))
export const theme = signal<Theme>(choose('theme', themes, 'system'))

/** Whether the page is dark now: by choice, or as the system is. */
export const isDark = signal(false)

const systemDark = window.matchMedia('(prefers-color-scheme: dark)')

/** Applies the choices to the document, now and whenever they change. */
export function applySettings(): void {
  effect(() => {
    document.documentElement.lang = language.value
    store('language', language.value)
  })
  const apply = () => {
    document.documentElement.dataset.theme = theme.value
    isDark.value = theme.value === 'dark' || (theme.value === 'system' && systemDark.matches)
  }
  effect(() => {
    apply()
    store('theme', theme.value)
  })
  systemDark.addEventListener('change', apply)
}

function browserLanguage(): Language {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2))
  return (wanted.find((tag) => tag in languages) as Language | undefined) ?? 'en'
}

// Local storage may be forbidden; then a choice lasts until the page is left.
function choose<T extends string>(name: string, values: T[], otherwise: T): T {
  try {
    const stored = localStorage.getItem(name) as T
    return values.includes(stored) ? stored : otherwise
  } catch {
    return otherwise
  }
}

function store(name: string, value: string): void {
  try {
    localStorage.setItem(name, value)
  } catch {
    // See above.
  }
}
