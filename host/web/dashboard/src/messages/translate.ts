import { languages, type Key, type Language } from '.'

export type Parameters = Record<string, string | number>

/** The message for `key`; `{name}` in it becomes the parameter `name`. Of two forms, the parameter `count` decides. */
export function translate(language: Language, key: Key, parameters: Parameters = {}): string {
  const { messages, locale } = languages[language]
  const table = messages as Record<string, string>
  const form = typeof parameters.count === 'number' ? new Intl.PluralRules(locale).select(parameters.count) : 'other'
  const text = table[key] ?? table[`${key}.${form}`] ?? table[`${key}.other`] ?? key
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = parameters[name]
    if (value === undefined) return whole
    return typeof value === 'number' ? new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(value) : value
  })
}
