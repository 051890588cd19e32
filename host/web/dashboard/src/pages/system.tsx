/** The running system: hosts, throughput, time of each stage, partitions, topics, models. */
import { useState } from 'preact/hooks'
import { useInterval, useResource } from '../api/resource'
import type { Channel, Channels, System, Throughput } from '../api/types'
import { number, t } from '../i18n'
import { Chart } from '../ui/chart'
import { Ago, Badge, Button, Facts, Loaded, PageHeader, Section, Table } from '../ui/controls'
import { UndeliveredDialog } from '../ui/undelivered-dialog'

/** The length of a step of `throughput`, in seconds. */
const STEP = 5

export function SystemPage() {
  const system = useResource<System>('/system')
  useInterval(system.reload, 5_000)
  return (
    <>
      <PageHeader title={t('nav.system')} lead={system.data && t('system.lead', { version: system.data.version })} />
      <Loaded of={system}>
        {(data) => (
          <>
            <Charts steps={data.throughput} />
            <Section title={t('system.hosts')}>
              <Facts
                items={[
                  [t('system.brokers'), data.brokers],
                  [t('system.group'), data.group],
                ]}
              />
              <Table caption={t('system.hosts')} head={[t('table.host'), t('table.client'), t('table.address')]}>
                {data.hosts.map((host) => (
                  <tr key={host.id}>
                    <th scope="row">{host.id}</th>
                    <td>{host.client}</td>
                    <td>{host.address}</td>
                  </tr>
                ))}
              </Table>
            </Section>
            <Section title={t('system.partitions')}>
              <Table caption={t('system.partitions')} head={[t('table.partition'), t('table.waiting'), t('table.lastFrame')]}>
                {data.partitions.map((partition) => (
                  <tr key={partition.partition}>
                    <th scope="row">{partition.partition}</th>
                    <td>{number(partition.waiting)}</td>
                    <td>{partition.lastFrameAt > 0 ? <Ago time={partition.lastFrameAt} /> : '–'}</td>
                  </tr>
                ))}
              </Table>
            </Section>
            <ChannelSection />
            <Section title={t('system.models')}>
              <Table caption={t('system.models')} head={[t('table.model'), t('table.sha256')]}>
                {data.models.map((model) => (
                  <tr key={model.sha256}>
                    <th scope="row">{model.name}</th>
                    <td>
                      <code title={model.sha256}>{model.sha256.slice(0, 24)}…</code>
                    </td>
                  </tr>
                ))}
              </Table>
            </Section>
          </>
        )}
      </Loaded>
    </>
  )
}

/** Who is told of alerts, and whether that works. */
function ChannelSection() {
  const channels = useResource<Channels>('/channels')
  const [opened, setOpened] = useState<string>()
  useInterval(channels.reload, 10_000)
  return (
    <Section title={t('system.channels')}>
      <Loaded of={channels}>
        {(data) =>
          data.channels.length === 0 ? (
            <p class="muted">{t('system.noChannels')}</p>
          ) : (
            <Table
              caption={t('system.channels')}
              head={[
                t('table.channel'),
                t('table.kind'),
                t('table.state'),
                t('table.waiting'),
                t('table.deadLetters'),
                t('table.lastDelivery'),
                t('table.lastError'),
              ]}
            >
              {data.channels.map((channel) => (
                <ChannelRow key={channel.name} channel={channel} onDeadLetters={() => setOpened(channel.name)} />
              ))}
            </Table>
          )
        }
      </Loaded>
      {opened && <UndeliveredDialog channel={opened} onClose={() => setOpened(undefined)} onDone={channels.reload} />}
    </Section>
  )
}

function ChannelRow({ channel, onDeadLetters }: { channel: Channel; onDeadLetters: () => void }) {
  return (
    <tr>
      <th scope="row">{channel.name}</th>
      <td>{channel.kind}</td>
      <td>
        <Badge tone={channel.state === 'working' ? 'good' : 'critical'}>{t(`channel.${channel.state}`)}</Badge>
      </td>
      <td>{channel.backlog === null ? '–' : number(channel.backlog)}</td>
      <td>
        {channel.deadLetters === 0 ? (
          '0'
        ) : (
          <Button small label={t('undelivered.show', { channel: channel.name, count: channel.deadLetters })} onClick={onDeadLetters}>
            {number(channel.deadLetters)}
          </Button>
        )}
      </td>
      <td>{channel.lastDeliveredAt === null ? '–' : <Ago time={channel.lastDeliveredAt} />}</td>
      <td>
        {channel.lastError === null || channel.lastErrorAt === null ? (
          '–'
        ) : (
          <>
            <Ago time={channel.lastErrorAt} />: {channel.lastError}
          </>
        )}
      </td>
    </tr>
  )
}

function Charts({ steps }: { steps: Throughput[] }) {
  if (steps.length === 0) return <p class="muted">{t('system.noThroughput')}</p>
  const times = steps.map((step) => step.at)
  const rate = (pick: (step: Throughput) => number) => steps.map((step) => pick(step) / STEP)
  const mean = (pick: (step: Throughput) => number) => steps.map(pick)
  return (
    <div class="columns">
      <Chart
        title={t('system.throughput')}
        times={times}
        unit={t('system.perSecond')}
        series={[
          { name: t('system.frames'), colour: '--chart-1', values: rate((step) => step.frames) },
          { name: t('system.faces'), colour: '--chart-2', values: rate((step) => step.faces) },
        ]}
      />
      <Chart
        title={t('system.stages')}
        times={times}
        unit="ms"
        stacked
        series={[
          { name: t('stage.detect'), colour: '--chart-1', values: mean((step) => step.detectMs) },
          { name: t('stage.embed'), colour: '--chart-2', values: mean((step) => step.embedMs) },
          { name: t('stage.decode'), colour: '--chart-3', values: mean((step) => step.decodeMs) },
          { name: t('stage.rules'), colour: '--chart-4', values: mean((step) => step.rulesMs) },
        ]}
      />
    </div>
  )
}
