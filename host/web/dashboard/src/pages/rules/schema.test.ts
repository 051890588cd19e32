import { describe, expect, it } from 'vitest'
import { fieldsOf, valueAt, withValue } from './schema'

const schema = {
  type: 'object',
  properties: {
    cooldown_ms: { type: 'integer', format: 'uint64', minimum: 0, default: 60000, description: 'The pause\n  between two.' },
    threshold: { type: 'number', minimum: 0, maximum: 1, default: 0.45 },
    deny: { type: 'array', items: { type: 'string' }, default: [] },
    known: { $ref: '#/$defs/Choice', default: { enabled: true } },
    people: { type: 'object', additionalProperties: { $ref: '#/$defs/Choice' } },
    maybe: { anyOf: [{ type: 'null' }, { type: 'boolean' }] },
  },
  $defs: {
    Choice: { type: 'object', properties: { enabled: { type: 'boolean' }, severity: { oneOf: [{ const: 'info' }, { const: 'critical' }] } } },
  },
}

describe('fieldsOf', () => {
  const fields = fieldsOf(schema)
  const field = (name: string) => fields.find(({ path }) => path.join('.') === name)

  it('makes a field for each kind of setting', () => {
    expect(fields.map(({ path, kind }) => [path.join('.'), kind])).toEqual([
      ['cooldown_ms', 'number'],
      ['threshold', 'number'],
      ['deny', 'list'],
      ['known', 'group'],
      ['people', 'json'],
      ['maybe', 'truth'],
    ])
    expect(field('threshold')).toMatchObject({ whole: false, minimum: 0, maximum: 1, fallback: 0.45 })
    expect(field('cooldown_ms')).toMatchObject({ whole: true, minimum: 0, maximum: undefined, description: 'The pause between two.' })
  })

  it('knows the defaults of a table that are given outside it', () => {
    expect(field('known')).toMatchObject({
      fields: [
        { path: ['known', 'enabled'], kind: 'truth', fallback: true },
        { path: ['known', 'severity'], kind: 'choice', choices: ['info', 'critical'], fallback: undefined },
      ],
    })
  })

  it('ends with a schema that turns in circles', () => {
    const circle = { properties: { a: { $ref: '#' }, b: { $ref: '#/properties/b' }, c: { $ref: '#' } } }
    const count = (all: ReturnType<typeof fieldsOf>): number => all.reduce((sum, one) => sum + 1 + (one.kind === 'group' ? count(one.fields) : 0), 0)
    expect(count(fieldsOf(circle))).toBeLessThanOrEqual(200)
  })

  it('makes nothing of what is no schema', () => {
    for (const nothing of [null, 'what?', [], {}, { properties: 5 }]) expect(fieldsOf(nothing)).toEqual([])
  })
})

describe('settings', () => {
  const settings = { cooldown_ms: 5, unknown: { first_seen: { enabled: false } } }

  it('are read and changed by path', () => {
    expect(valueAt(settings, ['unknown', 'first_seen', 'enabled'])).toBe(false)
    expect(valueAt(settings, ['unknown', 'returned', 'enabled'])).toBeUndefined()
    expect(withValue(settings, ['unknown', 'returned', 'enabled'], true)).toEqual({ cooldown_ms: 5, unknown: { first_seen: { enabled: false }, returned: { enabled: true } } })
    expect(settings.unknown).toEqual({ first_seen: { enabled: false } })
  })

  it('lose a setting with the tables that are empty without it', () => {
    expect(withValue(settings, ['unknown', 'first_seen', 'enabled'], undefined)).toEqual({ cooldown_ms: 5 })
    expect(withValue(settings, ['people'], {})).toEqual({ ...settings, people: {} })
    expect(withValue(settings, [], { a: 1 })).toEqual({ a: 1 })
  })
})
