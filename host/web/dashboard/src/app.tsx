/** The frame round every page: navigation, the state of the connection, the page that the address names. */
import type { ComponentChild } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { loadSession, session, signOut } from './api/client'
import { number, t, type Key } from './i18n'
import { ledger, openAlerts, openDeadLetters, stream } from './live'
import { languages, type Language } from './messages'
import { AlertsPage } from './pages/alerts'
import { CameraPage } from './pages/camera'
import { DeadLettersPage } from './pages/dead-letters'
import { LedgerPage } from './pages/ledger'
import { LivePage } from './pages/live'
import { PeoplePage } from './pages/people'
import { PersonPage } from './pages/person'
import { RulesPage } from './pages/rules'
import { RulePage } from './pages/rules/rule'
import { SearchPage } from './pages/search'
import { SignInPage } from './pages/sign-in'
import { StrangerPage } from './pages/stranger'
import { StrangersPage } from './pages/strangers'
import { SystemPage } from './pages/system'
import { place } from './router'
import { language, theme, themes } from './settings'
import { Button, ErrorNote, Loading, PageHeader, Select } from './ui/controls'
import { Icon, type IconName } from './ui/icon'
import { ReceiptDialog } from './ui/receipt-dialog'
import { ResultDialog } from './ui/result-dialog'
import { Toasts } from './ui/toast'

interface Entry {
  path: string
  key: Key
  icon: IconName
  /** The first parts of the addresses of its pages. */
  parts: string[]
  count?: () => number | undefined
}

const entries: Entry[] = [
  { path: '/', key: 'nav.live', icon: 'live', parts: ['', 'cameras'] },
  { path: '/alerts', key: 'nav.alerts', icon: 'alerts', parts: ['alerts'], count: () => openAlerts.value },
  { path: '/people', key: 'nav.people', icon: 'people', parts: ['people'] },
  { path: '/strangers', key: 'nav.strangers', icon: 'strangers', parts: ['strangers'] },
  { path: '/search', key: 'nav.search', icon: 'search', parts: ['search'] },
  { path: '/ledger', key: 'nav.ledger', icon: 'ledger', parts: ['ledger'] },
  { path: '/rules', key: 'nav.rules', icon: 'rules', parts: ['rules'] },
  { path: '/system', key: 'nav.system', icon: 'system', parts: ['system'] },
  { path: '/dead-letters', key: 'nav.deadLetters', icon: 'letters', parts: ['dead-letters'], count: () => openDeadLetters.value },
]

function page(): ComponentChild {
  const [first = '', id] = place.value.parts
  switch (first) {
    case '':
      return <LivePage />
    case 'cameras':
      return id ? <CameraPage key={id} id={id} /> : <LivePage />
    case 'alerts':
      return <AlertsPage />
    case 'people':
      return id ? <PersonPage key={id} id={id} /> : <PeoplePage />
    case 'strangers':
      return id ? <StrangerPage key={id} id={id} /> : <StrangersPage />
    case 'search':
      return <SearchPage />
    case 'ledger':
      return <LedgerPage />
    case 'rules':
      return id ? <RulePage key={id} name={id} /> : <RulesPage />
    case 'system':
      return <SystemPage />
    case 'dead-letters':
      return <DeadLettersPage />
    default:
      return (
        <PageHeader title={t('notFound.title')} lead={<a href="/">{t('notFound.back')}</a>} />
      )
  }
}

export function App() {
  const [error, setError] = useState<unknown>()
  const load = () => {
    setError(undefined)
    loadSession().catch(setError)
  }
  useEffect(load, [])
  if (error !== undefined) {
    return (
      <main class="alone">
        <h1>Everyframe</h1>
        <ErrorNote error={error} retry={load} />
      </main>
    )
  }
  if (session.value === undefined) return <Loading />
  if (session.value === null) return <SignInPage />
  return <Shell />
}

function Shell() {
  const [menu, setMenu] = useState(false)
  const path = place.value.parts[0] ?? ''
  useEffect(() => setMenu(false), [path])
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        {t('nav.skip')}
      </a>
      <div class="shell">
        <header class="side">
          <div class="brand">
            <a href="/" aria-label={t('nav.home')}>
              <img src="/icon.svg" alt="" width="24" height="24" />
              Everyframe
            </a>
            <button class="button quiet menu-button" type="button" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
              <Icon name={menu ? 'close' : 'menu'} />
              {t('nav.menu')}
            </button>
          </div>
          <div id="menu" class={`menu ${menu ? 'open' : ''}`}>
            <nav aria-label={t('nav.pages')}>
              <ul>
                {entries.map((entry) => {
                  const count = entry.count?.()
                  return (
                    <li key={entry.path}>
                      <a href={entry.path} aria-current={entry.parts.includes(path) ? 'page' : undefined}>
                        <Icon name={entry.icon} />
                        {t(entry.key)}
                        {count ? (
                          <span class="count">
                            {count > 999 ? '999+' : number(count)}
                            <span class="hidden"> {t('nav.open')}</span>
                          </span>
                        ) : null}
                      </a>
                    </li>
                  )
                })}
              </ul>
            </nav>
            <div class="side-foot">
              <LedgerLine />
              <Preferences />
            </div>
          </div>
        </header>
        <main id="main" tabIndex={-1}>
          <ConnectionNote />
          {page()}
        </main>
      </div>
      <ResultDialog />
      <ReceiptDialog />
      <Toasts />
    </>
  )
}

function focusMain(event: MouseEvent): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

/** Says plainly that what is on screen is old. The region stays, so that a screen reader hears of a change. */
function ConnectionNote() {
  const broken = stream.connection.value === 'broken'
  return (
    <div role="status" aria-live="polite">
      {broken && (
        <p class="note critical connection">
          <Icon name="offline" />
          <span>{t('connection.broken')}</span>
          <Button small onClick={() => stream.reconnect()}>
            {t('action.retryNow')}
          </Button>
        </p>
      )}
    </div>
  )
}

/** The ledger in a word, on every page. */
function LedgerLine() {
  const summary = ledger.value
  const open = stream.connection.value === 'open'
  const bad = summary !== undefined && (summary.lost > 0 || summary.retention.state === 'danger')
  return (
    <a class="ledger-line" href="/ledger">
      <span class={`dot ${!open ? 'off' : bad ? 'critical' : 'good'}`} />
      {!open ? t('connection.waiting') : summary ? t('ledger.line', { lost: summary.lost }) : t('connection.live')}
    </a>
  )
}

function Preferences() {
  const { name, authentication } = session.value!
  return (
    <div class="preferences">
      <Select
        label={t('settings.language')}
        hideLabel
        value={language.value}
        options={Object.entries(languages).map(([value, { name: text }]) => ({ value: value as Language, text }))}
        onChange={(value) => (language.value = value)}
      />
      <Select
        label={t('settings.theme')}
        hideLabel
        value={theme.value}
        options={themes.map((value) => ({ value, text: t(`settings.theme.${value}`) }))}
        onChange={(value) => (theme.value = value)}
      />
      {authentication && (
        <div class="who">
          <span class="muted">{name}</span>
          <Button small kind="quiet" icon="exit" onClick={() => void signOut().catch(() => {})}>
            {t('action.signOut')}
          </Button>
        </div>
      )}
    </div>
  )
}
