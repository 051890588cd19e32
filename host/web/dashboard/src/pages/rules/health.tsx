/** How a rule fares: its version, its calls, its failures. */
import type { Rule } from '../../api/types'
import { bytes, number, t } from '../../i18n'
import { address } from '../../router'
import { Ago, Badge, Facts } from '../../ui/controls'

export function kindName(rule: Rule): string {
  return rule.kind ? t(`rules.kind.${rule.kind}`) : t('rules.removed')
}

export function HealthBadge({ rule }: { rule: Rule }) {
  if (rule.usage?.pausedCameras) return <Badge tone="critical">{t('rules.paused', { count: rule.usage.pausedCameras })}</Badge>
  if (rule.lastFailure || rule.skipped || rule.parked) return <Badge tone="warning">{t('rules.failed')}</Badge>
  return <Badge tone="good">{t('rules.healthy')}</Badge>
}

/** Milliseconds with the digits that matter: rules take from 0.02 to 1000 of them. */
function milliseconds(value: number): string {
  return t('time.milliseconds', { value: number(value, value < 1 ? 3 : value < 100 ? 1 : 0) })
}

/** `all`: also what only the page of the rule shows. */
export function HealthFacts({ rule, all }: { rule: Rule; all?: boolean }) {
  const { usage } = rule
  return (
    <Facts
      items={[
        [t('rules.version'), rule.version],
        [t('rules.sha256'), rule.sha256 && <code title={rule.sha256}>{rule.sha256.slice(0, 12)}</code>],
        [t('rules.judged'), number(rule.judged)],
        [t('rules.lastJudged'), rule.lastJudgedAt > 0 && <Ago time={rule.lastJudgedAt} />],
        [t('rules.time'), usage?.p50Ms != null && usage.p99Ms != null && `${milliseconds(usage.p50Ms)} / ${milliseconds(usage.p99Ms)}`],
        [t('rules.memory'), usage && usage.memoryPeak > 0 && bytes(usage.memoryPeak)],
        [t('rules.calls'), all && usage && number(usage.calls)],
        [t('rules.state'), all && usage && bytes(usage.statePeak)],
        [t('rules.linesDropped'), all && usage && usage.logLinesDropped > 0 && number(usage.logLinesDropped)],
        [t('rules.skipped'), number(rule.skipped)],
        [t('rules.parked'), number(rule.parked)],
        [t('rules.alerts'), rule.kind === 'alerting' && <a href={`/alerts?rule=${encodeURIComponent(rule.name)}`}>{number(rule.alerts)}</a>],
      ]}
    />
  )
}

export function LastFailure({ rule }: { rule: Rule }) {
  const { lastFailure } = rule
  if (!lastFailure) return null
  return (
    <p class="note warning">
      <span>
        <strong>{t('rules.lastFailure')}</strong> <Ago time={lastFailure.at} />, <a href={address('cameras', lastFailure.camera)}>{lastFailure.camera}</a>: {lastFailure.reason}. {lastFailure.message}
      </span>
    </p>
  )
}
