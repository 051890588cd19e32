/** Decides which live picture is fetched next. No queue: of each camera only the latest picture is wanted. */

export interface SchedulerOptions {
  /** Pictures in flight at a time. A browser opens six connections to a server; the events take one. */
  parallel: number
  /** The shortest time between two pictures of a camera, in milliseconds. */
  interval: number
  now: () => number
  wait: (action: () => void, milliseconds: number) => void
}

interface Wish {
  load: () => Promise<void>
}

export class PictureScheduler {
  private readonly wishes = new Map<string, Wish>()
  private readonly startedAt = new Map<string, number>()
  private readonly loading = new Set<string>()
  private wakeAt = Infinity

  constructor(
    private readonly options: SchedulerOptions = {
      parallel: 4,
      interval: 500,
      now: () => performance.now(),
      wait: (action, milliseconds) => void setTimeout(action, milliseconds),
    },
  ) {}

  /** Loads a picture for `key` when it is its turn, instead of the one it wanted before. `load` must end, also when it fails. */
  want(key: string, load: () => Promise<void>): void {
    this.wishes.set(key, { load })
    this.run()
  }

  /** Forgets what `key` wants. */
  cancel(key: string): void {
    this.wishes.delete(key)
  }

  private run(): void {
    while (this.loading.size < this.options.parallel) {
      const key = this.longestWaiting()
      if (key === undefined) return
      const due = this.dueAt(key)
      if (due > this.options.now()) {
        this.wakeUp(due)
        return
      }
      this.load(key)
    }
  }

  private load(key: string): void {
    const { load } = this.wishes.get(key)!
    this.wishes.delete(key)
    this.startedAt.set(key, this.options.now())
    this.loading.add(key)
    const done = () => {
      this.loading.delete(key)
      this.run()
    }
    load().then(done, done)
  }

  /** The key whose last picture was started longest ago, so that no camera is left out. */
  private longestWaiting(): string | undefined {
    let first: string | undefined
    for (const key of this.wishes.keys()) {
      if (this.loading.has(key)) continue
      if (first === undefined || this.dueAt(key) < this.dueAt(first)) first = key
    }
    return first
  }

  private dueAt(key: string): number {
    return (this.startedAt.get(key) ?? -Infinity) + this.options.interval
  }

  private wakeUp(at: number): void {
    if (this.wakeAt <= at) return
    this.wakeAt = at
    this.options.wait(() => {
      this.wakeAt = Infinity
      this.run()
    }, at - this.options.now())
  }
}
