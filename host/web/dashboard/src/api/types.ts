/**
 * The data of the HTTP API, version 1; `/api/openapi.json` describes it. Times are Unix milliseconds; boxes are pixels of the full frame;
 * similarities are cosines, -1 to 1.
 */

export type Milliseconds = number

export type Role = 'view' | 'enrol' | 'admin'

export interface Session {
  name: string
  role: Role
  /** Goes into the header `x-csrf-token` of every request that changes something. */
  csrf: string
  /** False: no tokens are configured, so there is nobody to sign in. */
  authentication: boolean
}

/** An error answer (RFC 9457). */
export interface Problem {
  type?: string | null
  title: string
  status: number
  /** What to do. */
  detail?: string | null
}

/** A page of a list, newest first. */
export interface Page {
  /** The cursor of the following page, or null at the end. */
  next: string | null
}

export interface Position {
  partition: number
  offset: number
}

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

export interface Candidate {
  person: string
  name: string
  similarity: number
}

export type Decision = 'known' | 'unknown' | 'undecided'

export interface StrangerOfFace {
  id: string
  event?: string | null
  firstSeenAt: Milliseconds
  dwell: Milliseconds
  visits: number
  /** The person as whom the stranger was enrolled since. */
  person?: string | null
  name?: string | null
}

/** A face of an uploaded picture. */
export interface FoundFace {
  index: number
  bounds: Box
  quality: number
  score: number
  decision: Decision
  person?: string | null
  name?: string | null
  confidence?: number | null
  reason?: string | null
  stranger?: StrangerOfFace | null
  candidates: Candidate[]
}

/** A face of a frame. */
export interface FaceSummary extends FoundFace {
  track?: string | null
  crop?: string | null
}

export interface FrameSummary {
  camera: string
  position: Position
  capturedAt: Milliseconds
  width: number
  height: number
  faces: FaceSummary[]
  picture: string
}

export interface Camera {
  id: string
  status: 'live' | 'silent'
  /** 0: never. */
  lastSeenAt: Milliseconds
  framesPerSecond: number
  frames: number
  faces: number
  gaps: number
  parked: number
  last?: FrameSummary | null
}

export interface Cameras {
  cameras: Camera[]
  now: Milliseconds
}

export interface SkippedRule {
  rule: string
  reason: string
  message: string
}

/** A model or a rule. */
export interface Part {
  name: string
  version?: string | null
  sha256: string
}

export interface ResultView extends FrameSummary {
  session: string
  sequence: number
  /** How the picture was searched: `full`, `partial`, `coarse`, `reused`. */
  search: string
  alerts: string[]
  skipped: SkippedRule[]
  timings: { decodeMs: number; detectMs: number; embedMs: number; rulesMs: number }
  models: Part[]
  rules: Part[]
}

export interface Person {
  id: string
  name: string
  samples: number
  enrolledAt: Milliseconds
  picture?: string | null
  lastSeen?: { camera: string; at: Milliseconds } | null
}

export interface Sample {
  id: string
  /** The name of its picture, or the frame that it is from. */
  source: string
  quality: number
  enrolledAt: Milliseconds
  picture?: string | null
  /** The stranger whose picture this was. */
  stranger?: string | null
}

export interface PersonDetails extends Person {
  sampleList: Sample[]
  /** Faces that were taken for this person's, and are not. */
  negativeSamples: Sample[]
  /** The strangers as whom the person was seen before. */
  strangers: string[]
}

export interface People extends Page {
  people: Person[]
  total: number
}

export interface Enrolment {
  person: Person
  quality: number
  warnings: string[]
}

export interface BestView {
  position: Position
  bounds: Box
  quality: number
  crop: string
  picture: string
}

export interface Stranger {
  id: string
  firstSeenAt: Milliseconds
  lastSeenAt: Milliseconds
  cameras: string[]
  visits: number
  frames: number
  best: BestView
  /** Present once the stranger has been enrolled. */
  person?: string | null
  name?: string | null
}

export interface Strangers extends Page {
  strangers: Stranger[]
}

/** One visit of one person or stranger at one camera. */
export interface Sighting {
  id: string
  camera: string
  kind: 'known' | 'stranger'
  person?: string | null
  name?: string | null
  stranger?: string | null
  from: Milliseconds
  to: Milliseconds
  frames: number
  similarity?: number | null
  best: BestView
}

export interface Sightings extends Page {
  sightings: Sighting[]
}

export interface SearchedFace extends FoundFace {
  /** The people whom it resembles, most similar first. */
  people: { person: string; name: string; similarity: number; lastSeenAt?: Milliseconds | null }[]
  /** The strangers whom it resembles, most similar first. */
  strangers: { stranger: Stranger; similarity: number }[]
  /** Where all of these were seen, newest first. */
  sightings: Sighting[]
}

export interface SearchAnswer {
  width: number
  height: number
  faces: SearchedFace[]
}

export type Severity = 'info' | 'warning' | 'critical'

export interface Alert {
  id: string
  camera: string
  at: Milliseconds
  /** `everyframe` is the host itself. */
  rule: string
  ruleVersion?: string | null
  severity: Severity
  kind: string
  subject: string
  subjectName?: string | null
  text: string
  position?: Position | null
  bounds?: Box | null
  picture?: string | null
  crop?: string | null
  acknowledged?: { by: string; at: Milliseconds; comment: string } | null
  /** It is listed, but nobody is told of it. */
  muted: boolean
}

/** Alerts that nobody wants to be told of for a while; those that fit every part that is given. */
export interface Mute {
  id: string
  camera?: string | null
  rule?: string | null
  kind?: string | null
  subject?: string | null
  from: Milliseconds
  until: Milliseconds
  by: string
}

export interface Alerts extends Page {
  alerts: Alert[]
  openCount: number
}

export interface LedgerSummary {
  /** Since when frames are counted. */
  since: Milliseconds
  /** False while the history is still being read. */
  isComplete: boolean
  frames: number
  accounted: number
  processed: number
  parked: number
  deleted: number
  waiting: number
  lost: number
  repeated: number
  gaps: number
  behindMs: Milliseconds
  retention: { state: 'ok' | 'danger' | 'unknown'; text: string }
}

export interface CameraLedger {
  camera: string
  processed: number
  parked: number
  /** Frames that never arrived. */
  gaps: number
  /** 0: never. */
  lastSeenAt: Milliseconds
  gapAlerts: { at: Milliseconds; text: string }[]
}

export interface PartitionLedger {
  partition: number
  oldest: number
  next: number
  committed?: number | null
  frames: number
  waiting: number
  /** Committed frames without a result or a dead letter: first and last offset. */
  missing: { first: number; last: number }[]
}

export interface Ledger extends LedgerSummary {
  cameras: CameraLedger[]
  partitions: PartitionLedger[]
}

/** One camera's counts in an audit. Each frame sent is one of `results`, `dead_letters`, `missing` and `waiting`. */
export interface AuditCount {
  sent: number
  results: number
  dead_letters: number
  missing: number
  waiting: number
  repeated: number
  gaps: number
  late: number
  refused: number
}

/** The part of an audit that the dashboard shows: the object that `everyframe audit --json` prints. */
export interface Audit {
  cameras: Record<string, AuditCount>
  total: AuditCount
  deleted_frames: number
}

export interface Rule {
  name: string
  /** None if the configuration has no such rule any more. */
  kind?: 'matching-policy' | 'unknown-person' | 'alerting' | null
  version?: string | null
  sha256: string
  judged: number
  skipped: number
  parked: number
  failures: { reason: string; frames: number }[]
  alerts: number
  /** 0: never. */
  lastJudgedAt: Milliseconds
  lastFailure?: { at: Milliseconds; camera: string; reason: string; message: string } | null
  /** Of the process that answers, since it started. None if it runs no rules. */
  usage?: {
    calls: number
    p50Ms?: Milliseconds | null
    p99Ms?: Milliseconds | null
    /** Bytes. */
    memoryPeak: number
    /** Bytes. */
    statePeak: number
    logLinesDropped: number
    pausedCameras: number
  } | null
}

export interface Rules {
  rules: Rule[]
}

export interface RuleLog {
  /** False if the process that answers runs no rules. */
  isAvailable: boolean
  /** Newest first. */
  lines: { at: Milliseconds; level: 'error' | 'warn' | 'info' | 'debug'; camera: string; session: string; sequence: number; message: string }[]
}

/** A rule of the configuration file. */
export interface RuleSettings {
  name: string
  kind: string
  title: string
  version: string
  about: string
  contract: string
  settings: Record<string, unknown>
  /** JSON Schema of the settings, as the rule gives it. */
  schema?: unknown
}

/** An alert of a replay: nobody was told of it. */
export interface ReplayedAlert {
  rule: string
  camera: string
  at: Milliseconds
  severity: Severity
  kind: string
  subject: string
  subjectName?: string | null
  text: string
  position: Position
  bounds?: Box | null
  picture: string
  crop?: string | null
}

export interface ReplayAnswer {
  frames: number
  faces: number
  withoutAnswer: number
  unreadable: number
  /** `raised`: only with the changed rules; `gone`: only with the rules in force; `kept`: with both. */
  alerts: { before: number; after: number; raised: number; gone: number; kept: number }
  raised: ReplayedAlert[]
  gone: ReplayedAlert[]
  kept: ReplayedAlert[]
  decisions: { before: string; after: string; count: number }[]
  strangers: { before: string; after: string; count: number }[]
  failed: { rule: string; frames: number; example: string }[]
  skipped: { rule: string; frames: number; example: string }[]
  /** Frames in which a rule requested an embedding, which results do not have. */
  keptAnswers: { rule: string; frames: number }[]
}

/** Past results judged again with other settings. */
export interface Replay {
  id: string
  state: 'running' | 'done' | 'failed' | 'cancelled'
  /** 0 to 1. */
  progress: number
  from: Milliseconds
  to: Milliseconds
  cameras: string[]
  rules: string[]
  /** The lines of the configuration file that put the settings in force. */
  toml: string
  problem?: string | null
  answer?: ReplayAnswer | null
}

/** One step of five seconds; times are means of a frame. */
export interface Throughput {
  at: Milliseconds
  frames: number
  faces: number
  decodeMs: number
  detectMs: number
  embedMs: number
  rulesMs: number
}

export interface System {
  version: string
  brokers: string
  group: string
  hosts: { id: string; client: string; address: string }[]
  models: Part[]
  throughput: Throughput[]
  /** `lastFrameAt`: when its last processed frame was taken; 0: never. */
  partitions: { partition: number; waiting: number; lastFrameAt: Milliseconds }[]
}

export interface Channel {
  name: string
  /** `webhook`, `email`, `mqtt`, `ntfy`, `command` or `stdout`. */
  kind: string
  /** `unserved`: no process sends its messages. */
  state: 'working' | 'failing' | 'unserved'
  /** Alerts that it has not dealt with; null: it was never started. */
  backlog: number | null
  delivered: number
  retried: number
  deadLetters: number
  lastDeliveredAt: Milliseconds | null
  lastError: string | null
  lastErrorAt: Milliseconds | null
}

export interface Channels {
  channels: Channel[]
}

/** A message of a channel that could not be delivered. */
export interface UndeliveredMessage {
  channel: string
  id: string
  at: Milliseconds
  reason: string
  attempts: number
  alerts: number
  /** Of the first alert. */
  text: string | null
  canReplay: boolean
}

export interface Undelivered {
  /** Newest first, at most 200. */
  messages: UndeliveredMessage[]
  count: number
}

export interface MessagesReplayed {
  delivered: number
  failed: { id: string; reason: string }[]
  /** The ids of those that were not tried for lack of time. */
  left: string[]
}

/** What was erased of a person or a stranger; `everyframe gallery verify` checks it. */
export interface Receipt {
  id: string
  person: string
  signed: object | null
}

export interface DeadLetter {
  /** Its place in the topic of dead letters. */
  place: Position
  /** The place of its frame in the frames topic. */
  frame: Position
  camera: string
  at: Milliseconds
  stage: string
  reason: string
  message: string
  bytes: number
  state: 'open' | 'replayed' | 'dropped'
  picture: string
}

export interface DeadLetters extends Page {
  deadLetters: DeadLetter[]
  openCount: number
  /** False while the topic is still being read. */
  isComplete: boolean
}

export interface DeadLetterOutcome {
  frames: number
  marked: number
  failed: { frame: Position; reason: string }[]
}

/** What `GET /events` sends, by the name of the event. */
export interface Events {
  frame: FrameSummary
  alert: Alert
  acknowledgement: Alert
  sighting: Sighting
  camera: Camera
  people: { people: number }
  'dead-letter': DeadLetter
  ledger: LedgerSummary
}
