/** Messages, numbers and times in the chosen language. What calls these functions while it renders renders again when the language changes. */
import { signal } from '@preact/signals'
import { languages, type Key } from './messages'
import { translate, type Parameters } from './messages/translate'
import { language } from './settings'

export type { Key } from './messages'

/** The message for `key`; `{name}` in it becomes the parameter `name`. Of two forms, the parameter `count` decides. */
export function t(key: Key, parameters: Parameters = {}): string {
  return translate(language.value, key, parameters)
}

const locale = () => languages[language.value].locale

/** A number with at most `digits` digits after the decimal point. */
export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value)
}

/** A cosine similarity, or another number from -1 to 1, with two digits. */
export function similarity(value: number): string {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value)
}

/** A number of bytes in a unit that fits. */
export function bytes(value: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte']
  const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), units.length - 1)
  const options = { style: 'unit', unit: units[power]!, unitDisplay: power ? 'short' : 'long', maximumFractionDigits: power ? 1 : 0 } as const
  return new Intl.NumberFormat(locale(), options).format(value / 1000 ** power)
}

/** A length of time in the largest unit that fits: 2.1 s, 4 min, 3 h, 2 d. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 59.5) return t('time.seconds', { value: number(seconds, seconds < 9.95 ? 1 : 0) })
  if (seconds < 3570) return t('time.minutes', { value: number(seconds / 60) })
  if (seconds < 86_400) return t('time.hours', { value: number(seconds / 3600, 1) })
  return t('time.days', { value: number(seconds / 86_400, 1) })
}

/** Date and time to the second; without the date if it is today. */
export function dateTime(time: number): string {
  const today = new Date(time).toDateString() === new Date().toDateString()
  return new Intl.DateTimeFormat(locale(), today ? { timeStyle: 'medium' } : { dateStyle: 'medium', timeStyle: 'medium' }).format(time)
}

/** Date and time for an axis: the time within a day, the date for more. */
export function axisTime(time: number, span: number): string {
  const options: Intl.DateTimeFormatOptions = span > 2 * 86_400_000 ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' }
  return new Intl.DateTimeFormat(locale(), options).format(time)
}

/** Server time minus this browser's, in milliseconds. */
export const clockOffset = signal(0)
/** The server's time, renewed every few seconds. */
export const now = signal(Date.now())
setInterval(() => (now.value = Date.now() + clockOffset.peek()), 5000)

export function setServerTime(time: number): void {
  clockOffset.value = time - Date.now()
  now.value = time
}

/** How long ago `time` was, in words. */
export function ago(time: number): string {
  const seconds = Math.round((time - now.value) / 1000)
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' })
  if (seconds > -5) return t('time.justNow')
  if (seconds > -60) return format.format(seconds, 'second')
  if (seconds > -3600) return format.format(Math.round(seconds / 60), 'minute')
  if (seconds > -86_400) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}
