/** The data of the HTTP API, version 1. Times are Unix milliseconds; boxes are pixels of the full frame; similarities are cosines, -1 to 1. */

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
  type?: string
  title: string
  status: number
  /** What to do. */
  detail?: string
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
  event?: string
  firstSeenAt: Milliseconds
  dwell: Milliseconds
  visits: number
  /** Present once the stranger has been enrolled. */
  name?: string
}

/** A face of an uploaded picture. */
export interface FoundFace {
  index: number
  bounds: Box
  quality: number
  score: number
  decision: Decision
  person?: string
  name?: string
  confidence?: number
  reason?: string
  stranger?: StrangerOfFace
  candidates: Candidate[]
}

/** A face of a frame. */
export interface FaceSummary extends FoundFace {
  track: number | string | null
  crop: string
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
  lastSeenAt: Milliseconds | null
  framesPerSecond: number
  frames: number
  faces: number
  gaps: number
  parked: number
  last: FrameSummary | null
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

export interface ModelOfResult {
  name: string
  version?: string
  sha256: string
}

export interface RuleOfResult {
  name: string
  version?: string
  sha256?: string
}

export interface ResultView extends FrameSummary {
  session: string | null
  sequence: number | null
  search: string | null
  alerts: string[]
  skipped: SkippedRule[]
  timings: { decodeMs: number; detectMs: number; embedMs: number; rulesMs: number }
  judgedBy: { models: ModelOfResult[]; rules: RuleOfResult[] }
}

export interface Person {
  id: string
  name: string
  samples: number
  enrolledAt: Milliseconds | null
  picture: string | null
  lastSeen: { camera: string; at: Milliseconds } | null
}

export interface Sample {
  id: string
  source: string
  quality: number | null
  enrolledAt: Milliseconds | null
  picture: string | null
  /** It looks unlike the person's other samples. */
  isOdd: boolean
  fromStranger?: string
}

export interface PersonDetails extends Omit<Person, 'samples'> {
  samples: Sample[]
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
  sightings: number
  frames: number
  best: BestView | null
  /** Present once the stranger has been enrolled. */
  person?: string
  name?: string
}

export interface Strangers extends Page {
  strangers: Stranger[]
}

/** One visit of one person or stranger at one camera. */
export interface Sighting {
  id: string
  camera: string
  kind: 'known' | 'stranger'
  person?: string
  name?: string
  stranger?: string
  from: Milliseconds
  to: Milliseconds
  frames: number
  similarity?: number
  best: BestView | null
}

export interface Sightings extends Page {
  sightings: Sighting[]
}

export interface SearchedFace extends FoundFace {
  sightings: Sighting[]
  strangers: { stranger: Stranger; similarity: number }[]
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
  rule: string
  ruleVersion?: string
  severity: Severity
  kind: string
  subject: string | null
  subjectName?: string
  text: string
  position: Position
  bounds?: Box
  picture: string
  crop: string | null
  acknowledged: { by: string; at: Milliseconds; comment: string | null } | null
}

export interface Alerts extends Page {
  alerts: Alert[]
  openCount: number
}

export interface LedgerSummary {
  frames: number
  accounted: number
  processed: number
  parked: number
  deleted: number
  waiting: number
  lost: number
  repeated: number
  gaps: number
  behindMs: Milliseconds | null
  oldestAt: Milliseconds | null
  retention: { state: 'ok' | 'warning' | 'unknown'; text: string }
}

export interface SequenceGap {
  session: string
  first: number
  last: number
}

export interface CameraLedger {
  camera: string
  frames: number
  processed: number
  parked: number
  gaps: SequenceGap[]
  behindMs: Milliseconds | null
}

export interface PartitionLedger {
  partition: number
  oldest: number
  next: number
  committed: number | null
  waiting: number
  lost: { first: number; last: number }[]
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
  kind: 'matching-policy' | 'unknown-person' | 'alerting'
  version: string | null
  sha256: string
  framesJudged: number
  skipped: number
  lastFailure: { at: Milliseconds; camera: string; reason: string; message: string } | null
  alerts: number
}

export interface Rules {
  rules: Rule[]
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
  topics: { name: string; partitions: number; records: number }[]
  models: { name: string; sha256: string }[]
  throughput: Throughput[]
  partitions: { partition: number; waiting: number; behindMs: Milliseconds | null }[]
}

export interface DeadLetter {
  place: Position
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
}

export interface DeadLetterOutcome {
  frames: number
  marked: number
  failed: { place: Position; reason: string }[]
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
