import { describe, expect, it } from 'vitest'
import { languages } from '.'
import { translate } from './translate'

const parameters = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort()

describe.each(Object.entries(languages))('messages of %s', (_, { messages }) => {
  const english = languages.en.messages as Record<string, string>
  const table = messages as Record<string, string>

  it('have the keys of English, and no others', () => {
    expect(Object.keys(table).sort()).toEqual(Object.keys(english).sort())
  })

  it('have the parameters of English', () => {
    for (const [key, text] of Object.entries(table)) expect([key, parameters(text)]).toEqual([key, parameters(english[key] ?? '')])
  })

  it('are not empty', () => {
    for (const [key, text] of Object.entries(table)) expect([key, text.trim()]).not.toEqual([key, ''])
  })

  it('have both forms of a number', () => {
    const keys = Object.keys(table)
    const other = (key: string) => (key.endsWith('.one') ? key.replace(/one$/, 'other') : key.replace(/other$/, 'one'))
    for (const key of keys.filter((name) => /\.(one|other)$/.test(name))) expect(keys).toContain(other(key))
  })
})

describe('translate', () => {
  it('puts parameters in, numbers as the language writes them', () => {
    expect(translate('en', 'ledger.sentence.in', { count: 1204331 })).toBe('1,204,331 frames in')
    expect(translate('de', 'ledger.sentence.in', { count: 1204331 })).toBe('1.204.331 Bilder angekommen')
  })

  it('chooses the form of a number', () => {
    expect(translate('en', 'ledger.sentence.in', { count: 1 })).toBe('1 frame in')
  })

  it('leaves out nothing that has no value', () => {
    expect(translate('en', 'ledger.sentence.lost')).toContain('{lost}')
  })
})
