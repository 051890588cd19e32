/** The settings of a rule: a form, and what the alerts of the last hours would have been with them. */
import { useMemo, useState } from 'preact/hooks'
import { send } from '../../api/client'
import { useResource } from '../../api/resource'
import type { Replay, RuleSettings } from '../../api/types'
import { now, t } from '../../i18n'
import { place, setQuery } from '../../router'
import { Button, Facts, Loaded, Section, Select } from '../../ui/controls'
import { useAction } from '../../ui/dialog'
import { SettingsFields } from './form'
import { type Field, fieldsOf, type Settings } from './schema'
import { Trial } from './trial'

const windows = ['1', '24', '168'] as const

export function SettingsSection({ name }: { name: string }) {
  const settings = useResource<RuleSettings>(`/rules/${encodeURIComponent(name)}/settings`)
  const replay = place.value.query.get('replay')
  return (
    <Section title={t('rules.settings')}>
      <Loaded of={settings}>{(data) => <SettingsForm key={JSON.stringify(data.settings)} rule={data} />}</Loaded>
      {replay && <Trial key={replay} id={replay} />}
    </Section>
  )
}

/** All settings as one JSON text, for a rule that gives no schema. */
const wholeText: Field = { kind: 'json', path: [], description: '', fallback: undefined }

function SettingsForm({ rule }: { rule: RuleSettings }) {
  const configured = rule.settings as Settings
  const [settings, setSettings] = useState(configured)
  const [hours, setHours] = useState<(typeof windows)[number]>('24')
  // Other keys make the fields anew, with the configured values.
  const [round, setRound] = useState(0)
  const { busy, error, run } = useAction()
  const fields = useMemo(() => fieldsOf(rule.schema), [rule.schema])
  const isChanged = JSON.stringify(settings) !== JSON.stringify(configured)
  const start = () =>
    run(async () => {
      const to = Math.ceil(now.value) + 60_000
      const from = Math.max(0, Math.floor(now.value) - Number(hours) * 3_600_000)
      const { id } = await send<Replay>('POST', '/replays', { from, to, rules: [{ name: rule.name, settings }] })
      setQuery({ replay: id }, false)
    })
  return (
    <form
      class="settings-form"
      onSubmit={(event) => {
        event.preventDefault()
        if (!busy) void start()
      }}
    >
      {rule.about && <p>{rule.about}</p>}
      <p class="muted">{t('rules.settingsHint')}</p>
      <Facts items={[[t('rules.contract'), rule.contract]]} />
      <div key={round} class="setting-list">
        <SettingsFields fields={fields.length > 0 ? fields : [wholeText]} settings={settings} onChange={setSettings} />
      </div>
      {error && (
        <p class="note critical problem-lines" role="alert">
          {error}
        </p>
      )}
      <div class="filters">
        <Select label={t('rules.window')} value={hours} options={windows.map((value) => ({ value, text: t(`rules.window.${value}`) }))} onChange={setHours} />
        <Button type="submit" kind="primary" icon="replay" busy={busy}>
          {t(`rules.try.${hours}`)}
        </Button>
        <Button
          icon="undo"
          disabled={!isChanged}
          onClick={() => {
            setSettings(configured)
            setRound(round + 1)
          }}
        >
          {t('rules.reset')}
        </Button>
      </div>
    </form>
  )
}
