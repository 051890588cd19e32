import { describe, expect, it } from 'vitest'
import { idFromName } from './enrol'

describe('id from a name', () => {
  it('is the name in small plain letters', () => {
    expect(idFromName('Anna Müller-Groß')).toBe('anna-mueller-gross')
    expect(idFromName(' José  Ångström ')).toBe('jose-angstroem')
  })

  it('keeps letters of other scripts and has no slash', () => {
    expect(idFromName('山田 太郎')).toBe('山田-太郎')
    expect(idFromName('a/b')).toBe('a-b')
  })

  it('is not like that of a stranger', () => {
    expect(idFromName('Stranger 9c4311')).toBe('person-stranger-9c4311')
  })

  it('is never empty, and short enough for the server', () => {
    expect(idFromName('…')).toBe('person')
    expect(new TextEncoder().encode(idFromName('太'.repeat(200))).length).toBeLessThan(128)
  })
})
