/** One rule: health, log, settings, and what other settings would have changed. */
import { may } from '../../api/client'
import { useInterval, useResource } from '../../api/resource'
import type { Rule, RuleLog, Rules } from '../../api/types'
import { dateTime, number, t } from '../../i18n'
import { address } from '../../router'
import { Badge, Empty, Loaded, PageHeader, Section, Table, type Tone } from '../../ui/controls'
import { HealthBadge, HealthFacts, kindName, LastFailure } from './health'
import { SettingsSection } from './settings'

export function RulePage({ name }: { name: string }) {
  const rules = useResource<Rules>('/rules')
  useInterval(rules.reload, 5_000)
  const rule = rules.data?.rules.find((one) => one.name === name)
  return (
    <>
      <PageHeader title={name} lead={<a href="/rules">{t('rules.all')}</a>} />
      <Loaded of={rules}>{() => (rule ? <Health rule={rule} /> : <Empty icon="rules" title={t('rules.unused')} />)}</Loaded>
      {may('admin') && <SettingsSection name={name} />}
      <LogSection name={name} />
    </>
  )
}

function Health({ rule }: { rule: Rule }) {
  return (
    <div class="card rule">
      <header>
        <Badge>{kindName(rule)}</Badge>
        <HealthBadge rule={rule} />
      </header>
      <HealthFacts rule={rule} all />
      <p class="muted">{t(rule.usage ? 'rules.ofThisProcess' : 'rules.noUsage')}</p>
      <LastFailure rule={rule} />
      {rule.failures.length > 0 && (
        <Table caption={t('rules.failures')} head={[t('rules.reason'), t('table.frames')]}>
          {rule.failures.map(({ reason, frames }) => (
            <tr key={reason}>
              <th scope="row">{reason}</th>
              <td>{number(frames)}</td>
            </tr>
          ))}
        </Table>
      )}
    </div>
  )
}

const tones: Record<RuleLog['lines'][number]['level'], Tone> = { error: 'critical', warn: 'warning', info: 'info', debug: 'neutral' }

function LogSection({ name }: { name: string }) {
  const log = useResource<RuleLog>(`/rules/${encodeURIComponent(name)}/log`)
  useInterval(log.reload, 5_000)
  return (
    <Section title={t('rules.log')}>
      <Loaded of={log}>
        {({ isAvailable, lines }) =>
          lines.length === 0 ? (
            <p class="muted">{isAvailable ? t('rules.logEmpty') : t('rules.logElsewhere')}</p>
          ) : (
            <ol class="log" tabIndex={0} aria-label={t('rules.log')}>
              {lines.map((line, i) => (
                <li key={i}>
                  <time dateTime={new Date(line.at).toISOString()}>{dateTime(line.at)}</time> <Badge tone={tones[line.level]}>{line.level}</Badge>{' '}
                  <a href={address('cameras', line.camera)}>{line.camera}</a> {line.message}
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </Section>
  )
}
