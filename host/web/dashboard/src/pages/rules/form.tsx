/** A form for the settings of a rule: a control for each field of its schema. A setting that is left empty has its default. */
import { useId, useState } from 'preact/hooks'
import { t } from '../../i18n'
import { type Field, type Json, type Settings, valueAt, withValue } from './schema'

export interface FormProps {
  fields: Field[]
  settings: Settings
  onChange: (settings: Settings) => void
}

export function SettingsFields({ fields, settings, onChange }: FormProps) {
  // Single settings first: a table takes a whole row.
  const sorted = [...fields].sort((a, b) => Number(a.kind === 'group') - Number(b.kind === 'group'))
  return (
    <>
      {sorted.map((field) =>
        field.kind === 'group' ? (
          <fieldset key={field.path.join('.')} class="setting-group">
            <legend>
              <code>{field.path.at(-1)}</code>
            </legend>
            {field.description && <p class="hint">{field.description}</p>}
            <SettingsFields fields={field.fields} settings={settings} onChange={onChange} />
          </fieldset>
        ) : (
          <Setting key={field.path.join('.')} field={field} value={valueAt(settings, field.path)} onChange={(value) => onChange(withValue(settings, field.path, value))} />
        ),
      )}
    </>
  )
}

type Leaf = Exclude<Field, { kind: 'group' }>

interface SettingProps {
  field: Leaf
  value: Json | undefined
  onChange: (value: Json | undefined) => void
}

function Setting({ field, value, onChange }: SettingProps) {
  const id = useId()
  const hint = `${id}-hint`
  // The label is the key that the file needs.
  return (
    <div class="field setting">
      <label for={id}>
        <code>{field.path.at(-1) ?? t('rules.settings')}</code>
      </label>
      <Control field={field} value={value} onChange={onChange} id={id} hint={field.description ? hint : undefined} />
      {field.description && (
        <p id={hint} class="hint">
          {field.description}
        </p>
      )}
    </div>
  )
}

function Control({ field, value, onChange, id, hint }: SettingProps & { id: string; hint: string | undefined }) {
  const fallback = field.fallback === undefined || field.fallback === null ? t('rules.default') : t('rules.defaultIs', { value: shown(field.fallback) })
  const common = { id, 'aria-describedby': hint }
  switch (field.kind) {
    case 'truth':
      return (
        <select {...common} value={value === undefined ? '' : String(value)} onChange={(event) => onChange(event.currentTarget.value === '' ? undefined : event.currentTarget.value === 'true')}>
          <option value="">{fallback}</option>
          <option value="true">{t('rules.yes')}</option>
          <option value="false">{t('rules.no')}</option>
        </select>
      )
    case 'choice':
      return (
        <select {...common} value={typeof value === 'string' ? value : ''} onChange={(event) => onChange(event.currentTarget.value || undefined)}>
          <option value="">{fallback}</option>
          {field.choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      )
    case 'number':
      return (
        <input
          {...common}
          type="number"
          step={field.whole ? 1 : 'any'}
          min={field.minimum}
          max={field.maximum}
          placeholder={fallback}
          // Not `value`: while “0.” is typed, it is the number 0, and the point must stay.
          defaultValue={typeof value === 'number' ? String(value) : ''}
          onInput={(event) => {
            const { value: text, valueAsNumber, validity } = event.currentTarget
            // What is no number yet is left to the browser, which does not send such a form.
            if (!validity.badInput) onChange(text === '' ? undefined : valueAsNumber)
          }}
        />
      )
    case 'text':
      return <input {...common} type="text" placeholder={fallback} value={typeof value === 'string' ? value : ''} onInput={(event) => onChange(event.currentTarget.value || undefined)} />
    case 'list':
      return <ListControl {...common} placeholder={fallback} value={value} onChange={onChange} />
    case 'json':
      return <JsonControl {...common} placeholder={fallback} value={value} onChange={onChange} />
  }
}

function shown(value: Json): string {
  if (typeof value === 'boolean') return value ? t('rules.yes') : t('rules.no')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

interface AreaProps {
  id: string
  'aria-describedby': string | undefined
  placeholder: string
  value: Json | undefined
  onChange: (value: Json | undefined) => void
}

/** Texts, one on each line. */
function ListControl({ value, onChange, ...area }: AreaProps) {
  const lines = Array.isArray(value) ? value.map(String) : []
  const [text, setText] = useState(lines.join('\n'))
  return (
    <textarea
      {...area}
      rows={Math.min(8, Math.max(2, text.split('\n').length))}
      value={text}
      onInput={(event) => {
        setText(event.currentTarget.value)
        const items = event.currentTarget.value.split('\n').map((line) => line.trim()).filter(Boolean)
        onChange(items.length > 0 ? items : undefined)
      }}
    />
  )
}

/** Any value, as JSON. */
function JsonControl({ value, onChange, ...area }: AreaProps) {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value, null, 2))
  return (
    <textarea
      {...area}
      class="code"
      spellcheck={false}
      rows={Math.min(12, Math.max(2, text.split('\n').length))}
      value={text}
      onInput={(event) => {
        const area = event.currentTarget
        setText(area.value)
        try {
          const next = area.value.trim() ? (JSON.parse(area.value) as Json) : undefined
          area.setCustomValidity('')
          onChange(next)
        } catch {
          area.setCustomValidity(t('rules.notJson'))
        }
      }}
    />
  )
}
