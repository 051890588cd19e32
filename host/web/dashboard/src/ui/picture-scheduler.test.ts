import { describe, expect, it } from 'vitest'
import { PictureScheduler } from './picture-scheduler'

function setUp(parallel: number) {
  let time = 0
  const timers: { at: number; action: () => void }[] = []
  const started: string[] = []
  const finish = new Map<string, () => void>()
  const scheduler = new PictureScheduler({
    parallel,
    interval: 500,
    now: () => time,
    wait: (action, milliseconds) => timers.push({ at: time + milliseconds, action }),
  })
  return {
    started,
    want: (camera: string, picture: string) =>
      scheduler.want(camera, () => {
        started.push(picture)
        return new Promise<void>((resolve) => finish.set(picture, resolve))
      }),
    cancel: (camera: string) => scheduler.cancel(camera),
    async finish(picture: string) {
      finish.get(picture)!()
      await Promise.resolve()
      await Promise.resolve()
    },
    advance(to: number) {
      time = to
      for (const timer of timers.splice(0)) {
        if (timer.at <= time) timer.action()
        else timers.push(timer)
      }
    },
  }
}

describe('picture scheduler', () => {
  it('loads the latest picture and skips those between', async () => {
    const test = setUp(4)
    test.want('gate', 'gate 1')
    test.want('gate', 'gate 2')
    test.want('gate', 'gate 3')
    await test.finish('gate 1')
    test.advance(500)
    expect(test.started).toEqual(['gate 1', 'gate 3'])
  })

  it('waits half a second between two pictures of a camera', async () => {
    const test = setUp(4)
    test.want('gate', 'gate 1')
    await test.finish('gate 1')
    test.want('gate', 'gate 2')
    test.advance(499)
    expect(test.started).toEqual(['gate 1'])
    test.advance(500)
    expect(test.started).toEqual(['gate 1', 'gate 2'])
  })

  it('never has more pictures in flight than allowed', async () => {
    const test = setUp(2)
    for (const camera of ['a', 'b', 'c', 'd']) test.want(camera, camera)
    expect(test.started).toEqual(['a', 'b'])
    await test.finish('b')
    expect(test.started).toEqual(['a', 'b', 'c'])
  })

  it('serves the camera first that has waited longest', async () => {
    const test = setUp(1)
    test.want('busy', 'busy 1')
    test.advance(600)
    test.want('busy', 'busy 2')
    test.want('rare', 'rare 1')
    await test.finish('busy 1')
    expect(test.started).toEqual(['busy 1', 'rare 1'])
  })

  it('does not load a picture that is no longer wanted', async () => {
    const test = setUp(1)
    test.want('a', 'a')
    test.want('b', 'b')
    test.cancel('b')
    await test.finish('a')
    expect(test.started).toEqual(['a'])
  })
})
