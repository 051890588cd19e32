/** Lines over time, drawn by uPlot. Beside the picture stand the latest values, which a screen reader reads. */
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { axisTime, number } from '../i18n'
import { isDark } from '../settings'

const HEIGHT = 190

export interface Series {
  name: string
  /** A custom property of the style sheet. */
  colour: string
  values: number[]
}

/** The value of a colour of the style sheet as the theme has it now; a canvas cannot use custom properties. */
function resolve(element: HTMLElement, colour: string): string {
  element.style.color = `var(${colour})`
  const { color } = getComputedStyle(element)
  element.style.color = ''
  return color
}

export function Chart({ title, times, series, unit, stacked }: { title: string; times: number[]; series: Series[]; unit: string; stacked?: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const data: uPlot.AlignedData = [times.map((time) => time / 1000), ...(stacked ? stack(series) : series.map((one) => one.values))]
  const dark = isDark.value
  const names = series.map((one) => one.name).join()
  useEffect(() => {
    const element = box.current!
    const line = resolve(element, '--border')
    const text = resolve(element, '--muted')
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, font: '11px system-ui, sans-serif' }
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [
          { ...axis, values: (_, marks) => marks.map((mark) => axisTime(mark * 1000, 0)), space: 80, size: 26 },
          { ...axis, values: (_, marks) => marks.map((mark) => number(mark, 1)), size: 44 },
        ],
        series: [
          {},
          ...series.map((one) => {
            const colour = resolve(element, one.colour)
            return { label: one.name, stroke: colour, width: 1.5, points: { show: false }, ...(stacked && { fill: colour.replace(')', ' / 0.25)').replace(/^rgb\(([\d.]+), ([\d.]+), ([\d.]+)/, 'rgb($1 $2 $3') }) }
          }),
        ],
      },
      data,
      element,
    )
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [dark, names, unit])
  useEffect(() => plot.current?.setData(data), [times.at(-1), times.length])
  return (
    <figure class="chart" aria-label={title}>
      <figcaption>
        <span class="chart-title">{title}</span>
        <ul class="legend">
          {series.map((one) => (
            <li key={one.name}>
              <svg width="10" height="10" aria-hidden="true">
                <rect width="10" height="10" rx="2" class={`fill${one.colour}`} />
              </svg>
              {one.name} <strong>{number(one.values.at(-1) ?? 0, 1)}</strong> {unit}
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={box} class="plot" aria-hidden="true" />
    </figure>
  )
}

/** Each line on top of those after it, so that the first is the sum. */
function stack(series: Series[]): number[][] {
  const sums: number[][] = []
  let below = series[0]?.values.map(() => 0) ?? []
  for (const { values } of [...series].reverse()) {
    below = below.map((sum, i) => sum + (values[i] ?? 0))
    sums.unshift(below)
  }
  return sums
}
