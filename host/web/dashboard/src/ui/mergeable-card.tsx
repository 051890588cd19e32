/** A card that can be dropped on another card of its kind, to merge the two. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { may } from '../api/client'

interface MergeableCardProps {
  kind: 'person' | 'stranger'
  id: string
  /** The card with the id `dragged` was dropped here. */
  onDrop: (dragged: string) => void
  children: ComponentChildren
}

export function MergeableCard({ kind, id, onDrop, children }: MergeableCardProps) {
  const [over, setOver] = useState(false)
  const type = `application/x-everyframe-${kind}`
  return (
    <div
      class={`card person-card ${over ? 'over' : ''}`}
      draggable={may('enrol')}
      onDragStart={(event) => event.dataTransfer?.setData(type, id)}
      onDragOver={(event) => {
        if (!event.dataTransfer?.types.includes(type)) return
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false)
        const dragged = event.dataTransfer?.getData(type)
        if (!dragged || dragged === id) return
        event.preventDefault()
        onDrop(dragged)
      }}
    >
      {children}
    </div>
  )
}
