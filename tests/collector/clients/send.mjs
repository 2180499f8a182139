// One server-side client of JavaScript sends each kind of call once: node send.mjs CLIENT URL KEY FOLDER
import { createRequire } from 'node:module'

const [client, url, key, folder] = process.argv.slice(2)
const load = createRequire(`${folder}/package.json`)
const userId = `user-${client}`
const anonymousId = `anon-${client}`
const timestamp = new Date('2026-05-01T12:00:00.000Z')
const calls = {
  identify: { userId, traits: { email: `${client}@example.org`, plan: 'gold' }, timestamp },
  track: { userId, event: 'Order Completed', properties: { total: 9.5, products: [{ sku: 'a' }] }, timestamp },
  page: { userId, name: 'Home', properties: { path: '/' }, timestamp },
  group: { userId, groupId: `group-${client}`, traits: { name: 'Acme' }, timestamp },
  alias: { previousId: anonymousId, userId, timestamp },
}

const clients = {
  async 'segment-node'() {
    const { Analytics } = load('@segment/analytics-node')
    const analytics = new Analytics({ writeKey: key, host: url, path: '/v1/batch' })
    for (const [name, call] of Object.entries(calls)) analytics[name](call)
    await analytics.closeAndFlush()
  },
  async 'segment-node-old'() {
    const Analytics = load('analytics-node')
    const analytics = new Analytics(key, { host: url })
    for (const [name, call] of Object.entries(calls)) analytics[name](call)
    await analytics.flush()
  },
  async 'rudder-node'() {
    const loaded = load('@rudderstack/rudder-sdk-node')
    const Analytics = loaded.default ?? loaded
    const analytics = new Analytics(key, { dataPlaneUrl: url })
    for (const [name, call] of Object.entries(calls)) analytics[name]({ ...call, originalTimestamp: timestamp })
    await new Promise((done) => analytics.flush(done))
  },
  async 'jitsu-js'() {
    const { jitsuAnalytics } = load('@jitsu/js')
    const analytics = jitsuAnalytics({ host: url, writeKey: `${key}:secret` })
    await analytics.identify(userId, calls.identify.traits)
    await analytics.track(calls.track.event, calls.track.properties)
    await analytics.page({ name: 'Home', path: '/' })
    await analytics.group(calls.group.groupId, calls.group.traits)
  },
}
await clients[client]()
process.exit(0)
