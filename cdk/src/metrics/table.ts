/**
 * The table of metrics, as `control/src/metrics/table.rs` declares it.
 * `test/metrics-table.test.ts` compares the two.
 */

/** How the values of a metric are to be read. */
export type MetricKind = 'counter' | 'gauge' | 'histogram';
/** The unit of a metric. */
export type MetricUnit = 'count' | 's' | 'bytes' | 'USD';

/** A metric that parents have. */
export interface MetricRow {
  readonly name: string;
  readonly kind: MetricKind;
  readonly unit: MetricUnit;
  /** Each backend of each pool has its own values, or the process has them. */
  readonly scope: 'pool' | 'process';
  /** What tells the series of the metric apart, if it has several. */
  readonly attribute?: string;
  /** The values of the attribute. */
  readonly values?: readonly string[];
}

export const RUNNERS = {
  name: 'flame.runners',
  kind: 'gauge',
  unit: 'count',
  scope: 'pool',
  attribute: 'state',
  values: ['booting', 'active', 'idle', 'draining', 'stopping'],
} as const satisfies MetricRow;

export const LEASES = {
  name: 'flame.leases',
  kind: 'gauge',
  unit: 'count',
  scope: 'pool',
} as const satisfies MetricRow;

export const QUEUE_LENGTH = {
  name: 'flame.queue.length',
  kind: 'gauge',
  unit: 'count',
  scope: 'pool',
} as const satisfies MetricRow;

export const CALLS = {
  name: 'flame.calls',
  kind: 'counter',
  unit: 'count',
  scope: 'pool',
  attribute: 'outcome',
  values: [
    'ok',
    'timeout',
    'boot_failed',
    'runner_lost',
    'panicked',
    'queue_full',
    'over_budget',
    'runner_full',
    'too_long',
    'draining',
    'unknown_function',
    'too_large',
    'codec',
    'missing_state',
    'cancelled',
    'depth_exceeded',
  ],
} as const satisfies MetricRow;

export const CALL_DURATION = {
  name: 'flame.call.duration',
  kind: 'histogram',
  unit: 's',
  scope: 'pool',
  attribute: 'phase',
  values: ['queue', 'run', 'reply'],
} as const satisfies MetricRow;

export const BOOT_DURATION = {
  name: 'flame.boot.duration',
  kind: 'histogram',
  unit: 's',
  scope: 'pool',
  attribute: 'phase',
  values: ['request', 'provision', 'pull', 'start', 'connect'],
} as const satisfies MetricRow;

export const BOOT_FAILURES = {
  name: 'flame.boot.failures',
  kind: 'counter',
  unit: 'count',
  scope: 'pool',
  attribute: 'reason',
  values: [
    'throttled',
    'capacity',
    'quota',
    'unavailable',
    'misconfigured',
    'died',
    'timed_out',
    'rejected',
    'other',
  ],
} as const satisfies MetricRow;

export const RUNNER_EXITS = {
  name: 'flame.runner.exits',
  kind: 'counter',
  unit: 'count',
  scope: 'pool',
  attribute: 'reason',
  values: [
    'idle',
    'single_use',
    'resize',
    'announced',
    'expiring',
    'requested',
    'pool_drain',
    'lost',
  ],
} as const satisfies MetricRow;

export const RECONNECTS = {
  name: 'flame.runner.reconnects',
  kind: 'counter',
  unit: 'count',
  scope: 'pool',
} as const satisfies MetricRow;

export const ORPHANS_STOPPED = {
  name: 'flame.orphans.stopped',
  kind: 'counter',
  unit: 'count',
  scope: 'pool',
} as const satisfies MetricRow;

export const LINK_BYTES = {
  name: 'flame.link.bytes',
  kind: 'counter',
  unit: 'bytes',
  scope: 'pool',
  attribute: 'direction',
  values: ['sent', 'received'],
} as const satisfies MetricRow;

export const COST = {
  name: 'flame.cost.estimated',
  kind: 'counter',
  unit: 'USD',
  scope: 'pool',
} as const satisfies MetricRow;

export const REFUSED_CLIENTS = {
  name: 'flame.listener.refusals',
  kind: 'counter',
  unit: 'count',
  scope: 'process',
  attribute: 'step',
  values: ['handshake', 'hello', 'admission'],
} as const satisfies MetricRow;

export const LOG_LINES_DROPPED = {
  name: 'flame.log.dropped',
  kind: 'counter',
  unit: 'count',
  scope: 'process',
} as const satisfies MetricRow;

export const METRICS_DROPPED = {
  name: 'flame.metrics.dropped',
  kind: 'counter',
  unit: 'count',
  scope: 'process',
} as const satisfies MetricRow;

/** All metrics that parents have. */
export const METRICS = [
  RUNNERS,
  LEASES,
  QUEUE_LENGTH,
  CALLS,
  CALL_DURATION,
  BOOT_DURATION,
  BOOT_FAILURES,
  RUNNER_EXITS,
  RECONNECTS,
  ORPHANS_STOPPED,
  LINK_BYTES,
  COST,
  REFUSED_CLIENTS,
  LOG_LINES_DROPPED,
  METRICS_DROPPED,
] as const satisfies readonly MetricRow[];

type ValueOf<Row> = Row extends { readonly values: readonly (infer Value)[] } ? Value : never;

/** The name of a metric. */
export type MetricName = (typeof METRICS)[number]['name'];
/** The values of the attribute of a metric. */
export type AttributeValue<Name extends MetricName> = ValueOf<
  Extract<(typeof METRICS)[number], { name: Name }>
>;
/** What a runner does. */
export type RunnerState = ValueOf<typeof RUNNERS>;
/** How a call ended. */
export type CallOutcome = ValueOf<typeof CALLS>;
/** A part of the time of a call. */
export type CallPhase = ValueOf<typeof CALL_DURATION>;
/** A part of the time of a boot. */
export type BootPhase = ValueOf<typeof BOOT_DURATION>;
/** Why a boot failed. */
export type BootFailureReason = ValueOf<typeof BOOT_FAILURES>;
/** Why a runner ended. */
export type RunnerExitReason = ValueOf<typeof RUNNER_EXITS>;
