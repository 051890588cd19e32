import { useEffect, useId, useState } from 'preact/hooks'
import { ApiError, signIn } from '../api/client'
import { t } from '../i18n'
import { Button, errorText } from '../ui/controls'

export function SignInPage() {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const id = useId()
  useEffect(() => {
    document.title = `${t('signIn.title')} · Everyframe`
  })
  const submit = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem('')
    try {
      await signIn(token.trim())
    } catch (error) {
      setProblem(error instanceof ApiError && error.status === 401 ? t('signIn.wrong') : errorText(error))
      setBusy(false)
    }
  }
  return (
    <main class="alone">
      <form class="card sign-in" onSubmit={submit}>
        <img src="/icon.svg" alt="" width="40" height="40" />
        <h1>{t('signIn.title')}</h1>
        <p class="muted">{t('signIn.lead')}</p>
        <div class="field">
          <label for={id}>{t('signIn.token')}</label>
          <input
            id={id}
            type="password"
            autocomplete="current-password"
            required
            autofocus
            value={token}
            aria-invalid={problem ? true : undefined}
            aria-describedby={problem ? `${id}-problem` : undefined}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </div>
        {problem && (
          <p class="note critical" role="alert" id={`${id}-problem`}>
            {problem}
          </p>
        )}
        <Button type="submit" kind="primary" busy={busy} disabled={!token.trim()}>
          {t('action.signIn')}
        </Button>
      </form>
    </main>
  )
}
