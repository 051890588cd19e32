import de from './de.json'
import en from './en.json'

/** A language, its own name, and the conventions for its numbers and dates. To add one, see README.md. */
export const languages = {
  en: { name: 'English', locale: 'en-GB', messages: en as Messages },
  de: { name: 'Deutsch', locale: 'de-DE', messages: de as Messages },
}

export type Language = keyof typeof languages
export type Messages = Record<keyof typeof en, string>
/** A message's key. A message with a number has the forms `key.one` and `key.other`, and is asked for as `key`. */
export type Key = keyof typeof en extends infer K ? (K extends `${infer Base}.one` ? Base : K extends `${string}.other` ? never : K) : never
