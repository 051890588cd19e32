/** The rules that judge frames, and how they fare. */
import { useInterval, useResource } from '../../api/resource'
import type { Rules } from '../../api/types'
import { t } from '../../i18n'
import { address } from '../../router'
import { Badge, Empty, Loaded, PageHeader } from '../../ui/controls'
import { HealthBadge, HealthFacts, kindName, LastFailure } from './health'

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
            <>
              {data.rules.some((rule) => rule.usage) && <p class="muted">{t('rules.ofThisProcess')}</p>}
              <ul class="rule-list">
                {data.rules.map((rule) => (
                  <li key={rule.name} class="card rule">
                    <header>
                      <h2>
                        <a href={address('rules', rule.name)}>{rule.name}</a>
                      </h2>
                      <Badge>{kindName(rule)}</Badge>
                      <HealthBadge rule={rule} />
                    </header>
                    <HealthFacts rule={rule} />
                    <LastFailure rule={rule} />
                  </li>
                ))}
              </ul>
            </>
          )
        }
      </Loaded>
    </>
  )
}
