/** Small parts that every page uses. */
import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'
import type { ApiError } from '../api/client'
import type { Pages } from '../api/resource'
import type { Page } from '../api/types'
import { ago, dateTime, t } from '../i18n'
import { Icon, type IconName } from './icon'

export interface ButtonProps {
  children: ComponentChildren
  onClick?: () => void
  kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  icon?: IconName
  type?: 'button' | 'submit'
  disabled?: boolean
  busy?: boolean
  /** What a screen reader says, if the text alone is not enough. */
  label?: string
  small?: boolean
}

export function Button({ children, onClick, kind = 'plain', icon, type = 'button', disabled, busy, label, small }: ButtonProps) {
  return (
    <button class={`button ${kind}${small ? ' small' : ''}`} type={type} disabled={disabled || busy} aria-busy={busy || undefined} aria-label={label} onClick={onClick}>
      {icon && <Icon name={icon} size={16} />}
      {children}
    </button>
  )
}

export function IconButton({ icon, label, onClick, disabled }: { icon: IconName; label: string; onClick: () => void; disabled?: boolean }) {
  return (
    <button class="button quiet square" type="button" aria-label={label} title={label} disabled={disabled} onClick={onClick}>
      <Icon name={icon} />
    </button>
  )
}

/** The heading of a page, with actions beside it. */
export function PageHeader({ title, lead, children }: { title: string; lead?: ComponentChildren; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Everyframe`
  }, [title])
  return (
    <header class="page-header">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {lead && <p class="muted">{lead}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  )
}

export type Tone = 'good' | 'warning' | 'critical' | 'info' | 'neutral'

export function Badge({ tone = 'neutral', children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>
}

/** A time as “3 min. ago”; the exact time appears on hovering. */
export function Ago({ time }: { time: number }) {
  return (
    <time dateTime={new Date(time).toISOString()} title={dateTime(time)}>
      {ago(time)}
    </time>
  )
}

export function Select<T extends string>(props: { label: string; value: T; options: { value: T; text: string }[]; onChange: (value: T) => void; hideLabel?: boolean }) {
  const id = useId()
  return (
    <span class="field inline">
      <label for={id} class={props.hideLabel ? 'hidden' : ''}>
        {props.label}
      </label>
      <select id={id} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value as T)}>
        {props.options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </span>
  )
}

export function Checkbox({ label, checked, onChange }: { label: string; checked: boolean; onChange: (checked: boolean) => void }) {
  return (
    <label class="checkbox">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  )
}

/** A text field that tells its value once the user has paused. */
export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  const id = useId()
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  return (
    <span class="field search">
      <label for={id} class="hidden">
        {label}
      </label>
      <Icon name="search" size={16} />
      <input
        id={id}
        type="search"
        placeholder={label}
        defaultValue={value}
        onInput={(event) => {
          const { value: text } = event.currentTarget
          clearTimeout(timer.current)
          timer.current = setTimeout(() => onChange(text), 250)
        }}
      />
    </span>
  )
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <p class="empty-title">{title}</p>
      {children && <div class="muted">{children}</div>}
    </div>
  )
}

/** What a person reads about an error. */
export function errorText(error: unknown): string {
  const { status, message } = error as Partial<ApiError>
  if (status === 0) return t('error.unreachable')
  if (status === 403) return message || t('error.forbidden')
  return message || t('error.unknown')
}

export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div class="note critical" role="alert">
      <Icon name="warning" />
      <span>{errorText(error)}</span>
      {retry && (
        <Button small onClick={retry}>
          {t('action.retry')}
        </Button>
      )}
    </div>
  )
}

export function Loading() {
  return (
    <div class="loading" role="status">
      <span class="spinner" />
      <span class="hidden">{t('state.loading')}</span>
    </div>
  )
}

/** Shows what a resource has: its data, an error, or that it loads. */
export function Loaded<T>({ of, children }: { of: { data: T | undefined; error: unknown; loading: boolean; reload: () => void }; children: (data: T) => ComponentChildren }) {
  return (
    <>
      {of.error !== undefined && <ErrorNote error={of.error} retry={of.reload} />}
      {of.data !== undefined ? children(of.data) : of.loading && <Loading />}
    </>
  )
}

export function Pager<T extends Page>({ pages, label }: { pages: Pages<T>; label: string }) {
  if (!pages.newer && !pages.older) return null
  return (
    <nav class="pager" aria-label={label}>
      <Button icon="left" small disabled={!pages.newer} onClick={pages.newer}>
        {t('pager.newer')}
      </Button>
      <span class="muted" aria-live="polite">
        {t('pager.page', { page: pages.page + 1 })}
      </span>
      <Button small disabled={!pages.older} onClick={pages.older}>
        {t('pager.older')}
        <Icon name="right" size={16} />
      </Button>
    </nav>
  )
}

/** A table that scrolls sideways on a narrow screen; it can have the focus, so that the keyboard scrolls it too. */
export function Table({ caption, head, children }: { caption: string; head: ComponentChildren[]; children: ComponentChildren }) {
  return (
    <div class="table" tabIndex={0} role="group" aria-label={caption}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {head.map((cell, i) => (
              <th key={i} scope="col">
                {cell}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}

export function Section({ title, children, actions }: { title: string; children: ComponentChildren; actions?: ComponentChildren }) {
  const id = useId()
  return (
    <section class="section" aria-labelledby={id}>
      <header class="section-header">
        <h2 id={id}>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  )
}

/** Terms and their values. A value that is undefined, null or false is left out. */
export function Facts({ items }: { items: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {items.map(([term, value], i) =>
        value === undefined || value === null || value === false ? null : (
          <div key={i}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  )
}
