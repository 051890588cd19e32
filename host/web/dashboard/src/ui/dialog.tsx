/** Dialogs: the browser's own, which keep the focus inside and close with Escape. */
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { t } from '../i18n'
import { Button, errorText, IconButton } from './controls'

/** `sticky`: a click beside it does not close it. */
export function Dialog({ title, onClose, children, wide, sticky }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean; sticky?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null
    const element = dialog.current
    element?.showModal()
    element?.querySelector<HTMLElement>('[data-focus]')?.focus()
    return () => {
      element?.close()
      before?.focus?.()
    }
  }, [])
  return (
    <dialog
      ref={dialog}
      class={wide ? 'wide' : ''}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onMouseDown={(event) => {
        // On the backdrop.
        if (!sticky && event.target === dialog.current) onClose()
      }}
    >
      <div class="dialog-box">
        <header class="dialog-header">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label={t('action.close')} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  )
}

/** Whether an action runs and how it failed. */
export function useAction(): { busy: boolean; error: string; run: (action: () => Promise<void>) => Promise<void> } {
  const [state, setState] = useState({ busy: false, error: '' })
  const run = async (action: () => Promise<void>) => {
    setState({ busy: true, error: '' })
    try {
      await action()
      setState({ busy: false, error: '' })
    } catch (error) {
      setState({ busy: false, error: errorText(error) })
    }
  }
  return { ...state, run }
}

export interface FormDialogProps {
  title: string
  submit: string
  /** Throws if it fails; the dialog then shows why and stays open. */
  action: () => Promise<void>
  onClose: () => void
  children: ComponentChildren
  danger?: boolean
  disabled?: boolean
}

/** A dialog with a form: fields, Cancel and one button that does it. */
export function FormDialog({ title, submit, action, onClose, children, danger, disabled }: FormDialogProps) {
  const { busy, error, run } = useAction()
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (!busy && !disabled) void run(action)
        }}
      >
        <div class="dialog-body">
          {children}
          {error && (
            <p class="note critical" role="alert">
              {error}
            </p>
          )}
        </div>
        <footer class="dialog-footer">
          <Button onClick={onClose}>{t('action.cancel')}</Button>
          <Button type="submit" kind={danger ? 'danger' : 'primary'} busy={busy} disabled={disabled}>
            {submit}
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
