export * from './flame-pool';
export * from './flame-reaper';
export * from './flame-relay';
export * from './metrics/alarm-actions';
export * from './metrics/alarm-options';
export type { FlamePoolDashboard } from './metrics/dashboard';
export { MeteredPool } from './metrics/metered-pool';
export * from './metrics/options';
export {
  type AttributeValue,
  type BootFailureReason,
  type BootPhase,
  type CallOutcome,
  type CallPhase,
  METRICS,
  type MetricKind,
  type MetricName,
  type MetricRow,
  type MetricUnit,
  type RunnerExitReason,
  type RunnerState,
} from './metrics/table';
export * from './pool/code-store';
export * from './pool/ecs-options';
export * from './pool/lambda-options';
export * from './pool/runner-code';
export * from './relay/props';
export * from './relay/scaling';
