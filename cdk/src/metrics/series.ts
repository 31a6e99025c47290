import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { PoolMetric, PoolMetricOptions, PoolMetricsOptions } from './options';
import type { MetricKind, MetricRow } from './table';

export const DEFAULT_NAMESPACE = 'Flame';
const DEFAULT_PERIOD = Duration.minutes(1);

const STATISTICS: { [kind in MetricKind]: string } = {
  counter: Stats.SUM,
  gauge: Stats.AVERAGE,
  histogram: Stats.p(99),
};

/** The series of CloudWatch that the parents of one pool send. */
export class PoolSeries {
  constructor(readonly names: PoolMetricsOptions) {}

  /** The metric, or if it has several series and no value of the attribute is given, their sum. */
  metric(row: MetricRow, value?: string, options: PoolMetricOptions = {}): PoolMetric {
    if (row.values === undefined || value !== undefined) {
      return this.single(row, value, options);
    }
    if (row.kind === 'histogram') {
      const known = row.values.join(', ');
      throw new Error(`${row.name} has no sum: name the ${row.attribute}, one of ${known}`);
    }
    return this.sum(row, row.values, options);
  }

  /** The sum of several series of a metric. A series without data counts as 0. */
  sum(row: MetricRow, values: readonly string[], options: PoolMetricOptions = {}): PoolMetric {
    const { period, label, color } = options;
    const metrics = values.map((value) => this.single(row, value, { ...options, label: value }));
    const named = metrics.map((metric) => [idOf(metric), metric] as const);
    return new MathExpression({
      expression: `SUM([${named.map(([id]) => id).join(', ')}])`,
      usingMetrics: Object.fromEntries(named),
      label: label ?? row.name,
      period,
      color,
    });
  }

  /**
   * A gauge of all parents together. Each parent sends its value once in a period, so the sum of
   * the values is the total if the graph has the same period, and a multiple of it otherwise.
   */
  ofAllParents(row: MetricRow, value: string | undefined, label: string): MathExpression {
    const seconds = (this.names.period ?? DEFAULT_PERIOD).toSeconds();
    const values = this.single(row, value, { statistic: Stats.SUM });
    const id = idOf(values);
    return new MathExpression({
      expression: `${id} * ${seconds} / PERIOD(${id})`,
      usingMetrics: { [id]: values },
      label,
    });
  }

  private single(row: MetricRow, value: string | undefined, options: PoolMetricOptions): Metric {
    checkValue(row, value);
    const { backend, ...rest } = options;
    const { app, pool, namespace } = this.names;
    if (backend !== undefined && row.scope === 'process') {
      throw new Error(`${row.name} belongs to the process: it has no \`backend\``);
    }
    return new Metric({
      statistic: STATISTICS[row.kind],
      ...rest,
      namespace: namespace ?? DEFAULT_NAMESPACE,
      metricName: value === undefined ? row.name : `${row.name}.${value}`,
      dimensionsMap: {
        App: app,
        ...(row.scope === 'pool' && { Pool: pool }),
        ...(backend !== undefined && { Backend: backend }),
      },
    });
  }
}

function checkValue(row: MetricRow, value: string | undefined): void {
  if (value !== undefined && !row.values?.includes(value)) {
    const known = row.values ? `one of ${row.values.join(', ')}` : 'none';
    throw new Error(
      `${row.name} has no ${row.attribute ?? 'attribute'} \`${value}\`: use ${known}`,
    );
  }
}

/** What an expression calls a metric. No two metrics of a graph have the same one. */
function idOf({ metricName, dimensions, statistic }: Metric): string {
  const text = [metricName, dimensions?.Backend, statistic].filter((part) => part !== undefined);
  return text.join('_').toLowerCase().replaceAll(/\W/g, '_');
}
