import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { EventStream, type Source } from './events'

class FakeSource implements Source {
  readyState = 0
  onopen: (() => void) | null = null
  onerror: (() => void) | null = null
  closed = false
  private readonly handlers = new Map<string, (event: { data: string }) => void>()

  addEventListener(kind: string, handler: (event: { data: string }) => void) {
    this.handlers.set(kind, handler)
  }
  close() {
    this.closed = true
    this.readyState = 2
  }
  succeed() {
    this.readyState = 1
    this.onopen?.()
  }
  fail(readyState: 0 | 2) {
    this.readyState = readyState
    this.onerror?.()
  }
  emit(kind: string, data: unknown) {
    this.handlers.get(kind)!({ data: JSON.stringify(data) })
  }
}

describe('event stream', () => {
  let sources: FakeSource[]
  let stream: EventStream
  const last = () => sources.at(-1)!

  beforeEach(() => {
    vi.useFakeTimers()
    sources = []
    stream = new EventStream(() => {
      sources.push(new FakeSource())
      return last()
    })
    stream.start()
  })
  afterEach(() => {
    stream.stop()
    vi.useRealTimers()
  })

  it('gives each event to the handlers of its kind', () => {
    const got: number[] = []
    const release = stream.on('people', ({ people }) => got.push(people))
    last().succeed()
    last().emit('people', { people: 3 })
    last().emit('ledger', {})
    release()
    last().emit('people', { people: 4 })
    expect(got).toEqual([3])
  })

  it('asks for everything again after it connected again', () => {
    last().succeed()
    expect(stream.epoch.value).toBe(0)
    last().fail(0)
    expect(stream.connection.value).toBe('broken')
    last().succeed()
    expect(stream.connection.value).toBe('open')
    expect(stream.epoch.value).toBe(1)
  })

  it('asks for everything again when the server cannot resume', () => {
    last().succeed()
    last().emit('reset', {})
    expect(stream.epoch.value).toBe(1)
  })

  it('makes a new connection once the browser has given up', () => {
    last().fail(2)
    expect(sources).toHaveLength(1)
    vi.advanceTimersByTime(500)
    expect(sources).toHaveLength(2)
    last().fail(2)
    vi.advanceTimersByTime(999)
    expect(sources).toHaveLength(2)
    vi.advanceTimersByTime(1)
    expect(sources).toHaveLength(3)
    last().succeed()
    expect(stream.connection.value).toBe('open')
  })

  it('replaces a connection that looks open but is silent', () => {
    last().succeed()
    vi.advanceTimersByTime(14_000)
    last().emit('ledger', {})
    vi.advanceTimersByTime(14_000)
    expect(sources).toHaveLength(1)
    vi.advanceTimersByTime(4_000)
    expect(sources).toHaveLength(2)
    expect(sources[0]!.closed).toBe(true)
  })

  it('ignores events of a connection that it gave up', () => {
    const got: number[] = []
    stream.on('people', ({ people }) => got.push(people))
    const old = last()
    old.succeed()
    stream.reconnect()
    old.emit('people', { people: 1 })
    expect(got).toEqual([])
  })
})
