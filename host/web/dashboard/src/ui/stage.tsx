/** A picture with boxes round its faces. The stage has the picture's proportions, so that boxes can be placed in per cent. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { FoundFace, FrameSummary } from '../api/types'
import { faceKind, faceLabel } from '../faces'
import { t } from '../i18n'
import { cameraSignal } from '../live'
import { placeLabels } from './labels'
import { PictureScheduler } from './picture-scheduler'

interface Drawn {
  width: number
  height: number
  faces: FoundFace[]
}

/** `width`: of the picture on screen, in pixels. */
function Overlay({ picture, width }: { picture: Drawn; width: number }) {
  const per = (part: number, whole: number) => `${(100 * part) / whole}%`
  const faces = new Map(picture.faces.map((face) => [face.index, face]))
  const labels = placeLabels(
    picture.faces.map((face) => ({ index: face.index, bounds: face.bounds, text: faceLabel(face) })),
    picture,
    width,
  )
  return (
    <div class="overlay" aria-hidden="true">
      <svg viewBox={`0 0 ${picture.width} ${picture.height}`} preserveAspectRatio="none">
        {picture.faces.map((face) => (
          <rect
            key={face.index}
            class={`face ${faceKind(face)}`}
            x={face.bounds.x}
            y={face.bounds.y}
            width={face.bounds.width}
            height={face.bounds.height}
            rx={picture.width / 200}
          />
        ))}
      </svg>
      {labels.map(({ index, text, above, right }) => {
        const face = faces.get(index)!
        const { x, y, width: w, height: h } = face.bounds
        const style = {
          ...(right ? { right: per(picture.width - x - w, picture.width) } : { left: per(x, picture.width) }),
          ...(above ? { bottom: per(picture.height - y, picture.height) } : { top: per(y + h, picture.height) }),
        }
        return (
          <span key={index} class={`face-label ${faceKind(face)} ${above ? 'above' : 'below'}`} style={style}>
            {text}
          </span>
        )
      })}
    </div>
  )
}

/** The proportions of a picture. */
const ratio = ({ width, height }: { width: number; height: number }) => `${Math.max(width, 1)} / ${Math.max(height, 1)}`

/** One picture with its boxes. `src` may be a blob. */
export function Stage({ picture, src, alt }: { picture: Drawn; src: string; alt: string }) {
  const [broken, setBroken] = useState('')
  const [width, setWidth] = useState(0)
  return (
    <div class="stage" style={{ aspectRatio: ratio(picture), maxWidth: `calc(60vh * ${picture.width / picture.height})` }}>
      {broken === src ? (
        <p class="stage-note">{t('picture.gone')}</p>
      ) : (
        <>
          <img src={src} alt={alt} onLoad={(event) => setWidth(event.currentTarget.clientWidth)} onError={() => setBroken(src)} />
          {width > 0 && <Overlay picture={picture} width={width} />}
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
  const state = cameraSignal(camera)?.value
  const latest = state?.last
  // Where somebody was when the camera fell silent says nothing about now.
  const silent = state?.status === 'silent'
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
        {shown && !silent && <Overlay picture={shown} width={image.current?.clientWidth ?? 0} />}
      </div>
    </div>
  )
}
