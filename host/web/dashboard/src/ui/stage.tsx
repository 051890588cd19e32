/** A picture with boxes round its faces. The stage has the picture's proportions, so that boxes can be placed in per cent. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { FoundFace, FrameSummary } from '../api/types'
import { faceKind, faceLabel } from '../faces'
import { t } from '../i18n'
import { cameraSignal } from '../live'
import { PictureScheduler } from './picture-scheduler'

interface Drawn {
  width: number
  height: number
  faces: FoundFace[]
}

function Overlay({ picture, selected }: { picture: Drawn; selected?: number }) {
  return (
    <div class="overlay" aria-hidden="true">
      <svg viewBox={`0 0 ${picture.width} ${picture.height}`} preserveAspectRatio="none">
        {picture.faces.map((face) => (
          <rect
            key={face.index}
            class={`face ${faceKind(face)}${face.index === selected ? ' selected' : ''}`}
            x={face.bounds.x}
            y={face.bounds.y}
            width={face.bounds.width}
            height={face.bounds.height}
            rx={picture.width / 200}
          />
        ))}
      </svg>
      {picture.faces.map((face) => {
        const { x, y, width, height } = face.bounds
        // Above the box; below it at the upper edge of the picture. Anchored at the right in the right half.
        const above = y / picture.height > 0.12
        const right = (x + width / 2) / picture.width > 0.6
        const style = {
          ...(right ? { right: `${100 - (100 * (x + width)) / picture.width}%` } : { left: `${(100 * x) / picture.width}%` }),
          ...(above ? { bottom: `${100 - (100 * y) / picture.height}%` } : { top: `${(100 * (y + height)) / picture.height}%` }),
        }
        return (
          <span key={face.index} class={`face-label ${faceKind(face)} ${above ? 'above' : 'below'}`} style={style}>
            {faceLabel(face)}
          </span>
        )
      })}
    </div>
  )
}

/** The proportions of a picture; a very wide or high one would push everything else away. */
const ratio = ({ width, height }: { width: number; height: number }) => `${Math.max(width, 1)} / ${Math.max(height, 1)}`

/** One picture with its boxes. `src` may be a blob. */
export function Stage({ picture, src, alt, selected }: { picture: Drawn; src: string; alt: string; selected?: number }) {
  const [broken, setBroken] = useState('')
  return (
    <div class="stage" style={{ aspectRatio: ratio(picture), maxWidth: `calc(60vh * ${picture.width / picture.height})` }}>
      {broken === src ? (
        <p class="stage-note">{t('picture.gone')}</p>
      ) : (
        <>
          <img src={src} alt={alt} onError={() => setBroken(src)} />
          <Overlay picture={picture} {...(selected !== undefined && { selected })} />
        </>
      )}
    </div>
  )
}

const scheduler = new PictureScheduler()
/** A picture that takes longer has failed. */
const LOAD_MS = 10_000

/** The address of a frame's picture, scaled to about `width` pixels. Few widths, so that the server can keep them. */
export function scaled(picture: string, width: number): string {
  const step = [320, 480, 640, 960, 1280, 1920].find((candidate) => candidate >= width) ?? 1920
  return `${picture}${picture.includes('?') ? '&' : '?'}width=${step}`
}

function load(image: HTMLImageElement, src: string): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(false), LOAD_MS)
    const end = (loaded: boolean) => {
      clearTimeout(timer)
      image.onload = image.onerror = null
      resolve(loaded)
    }
    image.onload = () => end(true)
    image.onerror = () => end(false)
    image.src = src
  })
}

/** A camera's latest picture, at most twice a second, and only while it is on screen. Picture and boxes change together. */
export function LiveStage({ camera }: { camera: string }) {
  const box = useRef<HTMLDivElement>(null)
  const image = useRef<HTMLImageElement>(null)
  const [shown, setShown] = useState<FrameSummary>()
  const [visible, setVisible] = useState(false)
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => setVisible(entries.at(-1)!.isIntersecting), { rootMargin: '100px' })
    observer.observe(box.current!)
    return () => observer.disconnect()
  }, [])
  const latest = cameraSignal(camera)?.value.last
  const key = useRef(`${camera} ${Math.random()}`).current
  const alive = useRef(true)
  useEffect(
    () => () => {
      alive.current = false
      scheduler.cancel(key)
    },
    [],
  )
  useEffect(() => {
    if (!visible || !latest || document.hidden) {
      scheduler.cancel(key)
      return
    }
    scheduler.want(key, async () => {
      const element = image.current
      if (!element || !alive.current) return
      const width = element.parentElement!.clientWidth * Math.min(window.devicePixelRatio, 2)
      if (await load(element, scaled(latest.picture, width))) {
        if (alive.current) setShown(latest)
      }
    })
  }, [visible, latest?.picture])
  const size = shown ?? latest
  const tall = size && size.width / size.height < 16 / 9
  return (
    <div ref={box} class="live-stage">
      <div class={`stage ${tall ? 'tall' : ''}`} style={size ? { aspectRatio: ratio(size) } : undefined}>
        <img ref={image} class={shown ? '' : 'waiting'} alt="" />
        {shown && <Overlay picture={shown} />}
      </div>
    </div>
  )
}
