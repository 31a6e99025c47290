import type { Duration } from 'aws-cdk-lib';
import type { MathExpression, Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';

/**
 * The names under which the app sends the metrics of the pool to CloudWatch. They must equal those
 * in the app's code: no test finds a difference, and alarms on other names never go off.
 */
export interface PoolMetricsOptions {
  /** The name of the app, as in `CloudWatch::new("my-app")`. */
  readonly app: string;
  /** The name of the pool, as in `Pool::builder("thumbs")`. */
  readonly pool: string;
  /**
   * The namespace, if the app sets another one.
   * @default 'Flame'
   */
  readonly namespace?: string;
  /**
   * How often each parent sends its metrics, if the app sets another period. With it the dashboard
   * adds up the gauges of several parents.
   * @default Duration.minutes(1)
   */
  readonly period?: Duration;
  /**
   * Whether parents write their metrics into their logs (`Emf`). They then need no permission for
   * it, and `grantParent` leaves `cloudwatch:PutMetricData` out.
   * @default false
   */
  readonly emf?: boolean;
}

/** The backends that metrics tell apart. */
export enum MetricBackend {
  /** Tasks on Fargate. */
  ECS = 'ecs',
  /** Invocations of a Lambda function. */
  LAMBDA = 'lambda',
}

/** Options of the methods of a pool that return a metric. */
export interface PoolMetricOptions extends MetricOptions {
  /**
   * Counts only the runners of one backend. Metrics of the whole process can't have it.
   * @default - all backends together
   */
  readonly backend?: MetricBackend;
}

/** A metric of a pool. It is an expression if it is the sum of several series. */
export type PoolMetric = Metric | MathExpression;
