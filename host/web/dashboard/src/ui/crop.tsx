import { useState } from 'preact/hooks'
import { Icon, type IconName } from './icon'

/** A small picture of a face. Retention may have deleted the frame, so the picture may be missing. */
export function Crop({ src, alt, size = 'medium', icon = 'person' }: { src: string | null | undefined; alt: string; size?: 'small' | 'medium' | 'large' | 'fill'; icon?: IconName }) {
  const [broken, setBroken] = useState('')
  const missing = !src || broken === src
  return (
    <span class={`crop ${size}`} {...(missing && alt && { role: 'img', 'aria-label': alt })}>
      {missing ? <Icon name={icon} size={24} /> : <img src={src} alt={alt} loading="lazy" decoding="async" draggable={false} onError={() => setBroken(src)} />}
    </span>
  )
}
