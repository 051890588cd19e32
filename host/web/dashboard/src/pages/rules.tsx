/** The rules that judge frames, and how they fare. */
import { useInterval, useResource } from '../api/resource'
import type { Rules } from '../api/types'
import { number, t } from '../i18n'
import { address } from '../router'
import { Ago, Badge, Empty, Facts, Loaded, PageHeader } from '../ui/controls'

export function RulesPage() {
  const rules = useResource<Rules>('/rules')
  useInterval(rules.reload, 5_000)
  return (
    <>
      <PageHeader title={t('nav.rules')} lead={t('rules.lead')} />
      <Loaded of={rules}>
        {(data) =>
          data.rules.length === 0 ? (
            <Empty icon="rules" title={t('rules.none')} />
          ) : (
            <ul class="rule-list">
              {data.rules.map((rule) => (
                <li key={rule.name} class="card rule">
                  <header>
                    <h2>{rule.name}</h2>
                    <Badge>{rule.kind ? t(`rules.kind.${rule.kind}`) : t('rules.removed')}</Badge>
                    {rule.lastFailure || rule.skipped ? <Badge tone="warning">{t('rules.failed')}</Badge> : <Badge tone="good">{t('rules.healthy')}</Badge>}
                  </header>
                  <Facts
                    items={[
                      [t('rules.version'), rule.version],
                      [t('rules.sha256'), <code title={rule.sha256}>{rule.sha256.slice(0, 12)}</code>],
                      [t('rules.judged'), number(rule.judged)],
                      [t('rules.lastJudged'), rule.lastJudgedAt > 0 && <Ago time={rule.lastJudgedAt} />],
                      [t('rules.skipped'), number(rule.skipped)],
                      [t('rules.alerts'), rule.kind === 'alerting' && <a href={`/alerts?rule=${encodeURIComponent(rule.name)}`}>{number(rule.alerts)}</a>],
                    ]}
                  />
                  {rule.lastFailure && (
                    <p class="note warning">
                      <span>
                        <strong>{t('rules.lastFailure')}</strong> <Ago time={rule.lastFailure.at} />, <a href={address('cameras', rule.lastFailure.camera)}>{rule.lastFailure.camera}</a>: {rule.lastFailure.reason}.{' '}
                        {rule.lastFailure.message}
                      </span>
                    </p>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </>
  )
}
