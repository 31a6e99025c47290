import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { PoolMetric, PoolMetricOptions, PoolMetricsOptions } from './options';
import { PoolSeries } from './series';
import {
  type AttributeValue,
  BOOT_DURATION,
  BOOT_FAILURES,
  type BootFailureReason,
  type BootPhase,
  CALL_DURATION,
  CALLS,
  type CallOutcome,
  type CallPhase,
  METRICS,
  type MetricName,
  type MetricRow,
  ORPHANS_STOPPED,
  QUEUE_LENGTH,
  REFUSED_CLIENTS,
  RUNNER_EXITS,
  RUNNERS,
  type RunnerExitReason,
  type RunnerState,
} from './table';

/**
 * The methods of a pool that return its metrics. They need the prop `metrics`.
 *
 * The default statistic of a count is the sum, that of a time the 99th percentile, that of a gauge
 * the average, and that of the queue's length the maximum. If several parents have the same names,
 * sums and percentiles are those of all parents together. Each parent sends its own value of a
 * gauge, so `Average` and `Maximum` are those of one parent; `Sum` is the total of all parents if
 * the period is the one in which parents send their metrics, and a multiple of the total if it is
 * longer.
 *
 * A count is sent only when something has happened, so alarms should treat missing data as not
 * breaching.
 */
export abstract class MeteredPool extends Construct {
  private readonly series?: PoolSeries;

  constructor(
    scope: Construct,
    id: string,
    protected readonly metrics: PoolMetricsOptions | undefined,
  ) {
    super(scope, id);
    this.series = metrics && new PoolSeries(metrics);
  }

  /** Calls that have ended: all of them, or those with one outcome. */
  metricCalls(outcome?: CallOutcome, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(CALLS, outcome, options);
  }

  /** The time of calls, in seconds. The phase `queue` includes the boot that a call waited for. */
  metricCallDuration(phase: CallPhase, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(CALL_DURATION, phase, options);
  }

  /** Calls that wait for a slot. */
  metricQueueLength(options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(QUEUE_LENGTH, undefined, { statistic: Stats.MAXIMUM, ...options });
  }

  /** Runners: all instances that exist, or those in one state. */
  metricRunners(state?: RunnerState, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(RUNNERS, state, options);
  }

  /** Boots that have failed, for any reason or for one. */
  metricBootFailures(reason?: BootFailureReason, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(BOOT_FAILURES, reason, options);
  }

  /** The time of boots that succeeded, in seconds. */
  metricBootDuration(phase: BootPhase, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(BOOT_DURATION, phase, options);
  }

  /** Runners that have ended, for any reason or for one. */
  metricRunnerExits(reason?: RunnerExitReason, options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(RUNNER_EXITS, reason, options);
  }

  /** Runners of other parents that the pool has stopped, because their parent was gone. */
  metricOrphansStopped(options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(ORPHANS_STOPPED, undefined, options);
  }

  /**
   * Clients that connected to a parent and were not admitted as a runner. All pools of an app have
   * this metric together.
   */
  metricRefusedClients(options?: PoolMetricOptions): PoolMetric {
    return this._series.metric(REFUSED_CLIENTS, undefined, options);
  }

  /**
   * Any metric of the table, `METRICS`. Without a value of its attribute, it is the sum over all
   * values. An alarm can't have the sum over all outcomes of calls, because CloudWatch accepts at
   * most ten metrics in an alarm
   * (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-limits.html).
   */
  metric<Name extends MetricName>(
    name: Name,
    value?: AttributeValue<Name>,
    options?: PoolMetricOptions,
  ): PoolMetric {
    const row: MetricRow | undefined = METRICS.find((metric) => metric.name === name);
    if (row === undefined) {
      throw new Error(`flame-aws has no metric \`${name}\``);
    }
    return this._series.metric(row, value as string | undefined, options);
  }

  /** @internal */
  get _series(): PoolSeries {
    if (this.series === undefined) {
      throw new Error(
        `${this.constructor.name} ${this.node.path} does not know the names of its metrics: set \`metrics\``,
      );
    }
    return this.series;
  }
}
