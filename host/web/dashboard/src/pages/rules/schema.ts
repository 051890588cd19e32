/**
 * The settings of a rule as fields of a form, from the JSON Schema that the rule gives. The schema is the rule's word: it may be
 * anything, as deep and as long as it likes, so depth and number of fields are limited. What no field fits is edited as JSON.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Settings = { [key: string]: Json }

interface Common {
  /** The keys from the settings down to this one. */
  path: string[]
  description: string
  /** What the rule takes if the setting is left out. */
  fallback: Json | undefined
}

export type Field = Common &
  (
    | { kind: 'truth' | 'text' | 'list' | 'json' }
    | { kind: 'number'; whole: boolean; minimum: number | undefined; maximum: number | undefined }
    | { kind: 'choice'; choices: string[] }
    | { kind: 'group'; fields: Field[] }
  )

/** Deeper tables are edited as JSON. */
const DEPTH = 6
/** No more fields than this are made. */
const MOST = 200

/** The fields of a schema; empty if it describes no settings. */
export function fieldsOf(schema: unknown): Field[] {
  if (!isTable(schema)) return []
  return new Reader(schema).table(schema, undefined, [], DEPTH)
}

class Reader {
  private made = 0

  constructor(private readonly root: Settings) {}

  table(schema: Settings, defaults: Json | undefined, prefix: string[], depth: number): Field[] {
    const { properties } = schema
    if (!isTable(properties)) return []
    const fields: Field[] = []
    for (const [name, property] of Object.entries(properties)) {
      if (this.made >= MOST) break
      if (!isTable(property)) continue
      this.made++
      const ownDefault = property['default'] ?? (isTable(defaults) ? defaults[name] : undefined)
      fields.push(this.field(property, ownDefault, [...prefix, name], depth))
    }
    return fields
  }

  private field(property: Settings, given: Json | undefined, path: string[], depth: number): Field {
    const schema = this.resolve(property)
    const fallback = given ?? schema['default']
    const common = { path, description: text(property['description']) || text(schema['description']), fallback }
    const choices = choicesOf(schema)
    if (choices.length > 0) return { ...common, kind: 'choice', choices }
    switch (typeOf(schema)) {
      case 'boolean':
        return { ...common, kind: 'truth' }
      case 'integer':
      case 'number':
        return { ...common, kind: 'number', whole: typeOf(schema) === 'integer', minimum: limit(schema['minimum']), maximum: limit(schema['maximum']) }
      case 'string':
        return { ...common, kind: 'text' }
      case 'array': {
        const items = schema['items']
        const plain = isTable(items) && typeOf(this.resolve(items)) === 'string' && choicesOf(this.resolve(items)).length === 0
        return { ...common, kind: plain ? 'list' : 'json' }
      }
    }
    const fields = depth > 1 ? this.table(schema, fallback, path, depth - 1) : []
    return fields.length > 0 ? { ...common, kind: 'group', fields } : { ...common, kind: 'json' }
  }

  /** Follows references, and takes what may be null for what it is otherwise. */
  private resolve(schema: Settings): Settings {
    let found = schema
    for (let step = 0; step < 8; step++) {
      const reference = found['$ref']
      const options = found['anyOf']
      const target: Json | undefined = typeof reference === 'string' ? this.lookUp(reference) : Array.isArray(options) ? options.find((option) => isTable(option) && typeOf(option) !== 'null') : undefined
      if (!isTable(target)) return found
      found = target
    }
    return {}
  }

  private lookUp(reference: string): Json | undefined {
    if (!reference.startsWith('#')) return undefined
    let found: Json | undefined = this.root
    for (const part of reference.split('/').slice(1)) found = isTable(found) ? found[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
    return found
  }
}

function isTable(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const text = (value: Json | undefined) => (typeof value === 'string' ? value.replace(/\s+/g, ' ').trim() : '')

/** The largest limit that a field can express exactly. */
const limit = (value: Json | undefined) => (typeof value === 'number' && Number.isSafeInteger(Math.trunc(value)) ? value : undefined)

function typeOf(schema: Settings): string {
  const { type } = schema
  const types = Array.isArray(type) ? type.filter((one) => one !== 'null') : [type]
  return types.length === 1 && typeof types[0] === 'string' ? types[0] : ''
}

/** The texts of which a setting is one. */
function choicesOf(schema: Settings): string[] {
  const options = schema['enum'] ?? schema['oneOf']
  if (!Array.isArray(options)) return []
  const values = options.flatMap((option) => (isTable(option) ? (Array.isArray(option['enum']) ? option['enum'] : [option['const']]) : [option])).filter((value) => value !== null)
  return values.every((value) => typeof value === 'string') ? values : []
}

/** The value at `path`; undefined if it is left out. */
export function valueAt(settings: Settings, path: string[]): Json | undefined {
  let found: Json | undefined = settings
  for (const key of path) found = isTable(found) ? found[key] : undefined
  return found
}

/** The settings with another value at `path`; without it if the value is undefined, and without tables that are empty then. */
export function withValue(settings: Settings, path: string[], value: Json | undefined): Settings {
  const [key, ...rest] = path
  if (key === undefined) return isTable(value) ? value : {}
  const inner = settings[key]
  const next = rest.length > 0 ? withValue(isTable(inner) ? inner : {}, rest, value) : value
  const isEmpty = next === undefined || (rest.length > 0 && value === undefined && isTable(next) && Object.keys(next).length === 0)
  const { [key]: _, ...others } = settings
  return isEmpty ? others : { ...settings, [key]: next }
}
