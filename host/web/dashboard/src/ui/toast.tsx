/** Short messages about what was done. A screen reader reads them too. */
import { signal } from '@preact/signals'
import { Icon } from './icon'

interface Toast {
  id: number
  text: string
  failed: boolean
}

const toasts = signal<Toast[]>([])
let last = 0

/** Shows `text` for some seconds. */
export function toast(text: string, failed = false): void {
  const id = ++last
  toasts.value = [...toasts.value.slice(-2), { id, text, failed }]
  setTimeout(() => (toasts.value = toasts.value.filter((one) => one.id !== id)), failed ? 10_000 : 5_000)
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, failed }) => (
        <div key={id} class={`toast ${failed ? 'critical' : 'good'}`}>
          <Icon name={failed ? 'warning' : 'check'} size={16} />
          {text}
        </div>
      ))}
    </div>
  )
}
