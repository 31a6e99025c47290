import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { GraphWidget, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { expect, test } from 'vitest';
import { METRICS, MetricBackend, type MetricRow, type PoolMetric } from '../src';
import { newPool } from './support/stacks';

const NAMES = { app: 'my-app', pool: 'thumbs' };
const POOL = { App: 'my-app', Pool: 'thumbs' };

function meteredPool(metrics = {}) {
  return newPool({ metrics: { ...NAMES, ...metrics } }).pool;
}

interface Asked {
  readonly name?: string;
  readonly dimensions?: { [name: string]: string };
  readonly statistic?: string;
  readonly seconds?: number;
  readonly expression?: string;
  readonly of?: Asked[];
}

/** What CloudWatch is asked for: the metrics, and what is computed from them. */
function asked(metric: IMetric): Asked {
  const { metricStat, mathExpression } = metric.toMetricConfig();
  const stat = metricStat && {
    name: `${metricStat.namespace}/${metricStat.metricName}`,
    dimensions: Object.fromEntries((metricStat.dimensions ?? []).map((d) => [d.name, d.value])),
    statistic: metricStat.statistic,
    seconds: metricStat.period.toSeconds(),
  };
  const of = Object.values(mathExpression?.usingMetrics ?? {}).map(asked);
  return { ...stat, ...(mathExpression && { expression: mathExpression.expression, of }) };
}

test('a series has the name of its metric and of its attribute, and the dimensions of its pool', () => {
  const pool = meteredPool();
  const found: [PoolMetric, string, string][] = [
    [pool.metricCalls('timeout'), 'flame.calls.timeout', 'Sum'],
    [pool.metricCallDuration('queue'), 'flame.call.duration.queue', 'p99'],
    [pool.metricQueueLength(), 'flame.queue.length', 'Maximum'],
    [pool.metricRunners('booting'), 'flame.runners.booting', 'Average'],
    [pool.metricBootFailures('throttled'), 'flame.boot.failures.throttled', 'Sum'],
    [pool.metricBootDuration('pull'), 'flame.boot.duration.pull', 'p99'],
    [pool.metricRunnerExits('lost'), 'flame.runner.exits.lost', 'Sum'],
    [pool.metricOrphansStopped(), 'flame.orphans.stopped', 'Sum'],
    [pool.metric('flame.leases'), 'flame.leases', 'Average'],
    [pool.metric('flame.link.bytes', 'sent'), 'flame.link.bytes.sent', 'Sum'],
  ];
  for (const [metric, name, statistic] of found) {
    expect(asked(metric)).toEqual({
      name: `Flame/${name}`,
      dimensions: POOL,
      statistic,
      seconds: 300,
    });
  }
});

test('metrics of the process have no pool', () => {
  const pool = meteredPool();
  const dropped = asked(pool.metric('flame.log.dropped'));
  expect(dropped).toMatchObject({ dimensions: { App: 'my-app' } });
  const refused = asked(pool.metricRefusedClients());
  expect(refused.of?.map(({ dimensions }) => dimensions)).toEqual(Array(3).fill({ App: 'my-app' }));
});

test('the options of a metric replace the defaults', () => {
  const pool = meteredPool({ namespace: 'Media/Flame' });
  const backend = MetricBackend.LAMBDA;
  const options = { statistic: 'Minimum', period: Duration.minutes(1), backend };
  expect(asked(pool.metricRunners('idle', options))).toEqual({
    name: 'Media/Flame/flame.runners.idle',
    dimensions: { ...POOL, Backend: 'lambda' },
    statistic: 'Minimum',
    seconds: 60,
  });
});

test('without a value, a metric is the sum of all its series', () => {
  const pool = meteredPool();
  const period = Duration.minutes(1);
  const { expression, of } = asked(pool.metricRunnerExits(undefined, { period }));
  const values = METRICS.find(({ name }) => name === 'flame.runner.exits') as MetricRow;
  expect(of).toEqual(
    values.values?.map((value) => ({
      name: `Flame/flame.runner.exits.${value}`,
      dimensions: POOL,
      statistic: 'Sum',
      seconds: 60,
    })),
  );
  const ids = values.values?.map((value) => `flame_runner_exits_${value}_sum`);
  expect(expression).toBe(`SUM([${ids?.join(', ')}])`);
});

test('several sums fit into one graph', () => {
  const pool = meteredPool();
  const left = [
    pool.metricCalls(),
    pool.metricCalls(undefined, { backend: MetricBackend.ECS }),
    pool.metricRunners(),
    pool.metricRunners(undefined, { statistic: 'Maximum' }),
  ];
  // Throws an error if two metrics have the same id.
  expect(() => new GraphWidget({ left }).toJson()).not.toThrow();
});

test('a metric can have an alarm of its own', () => {
  const { stack, pool } = newPool({ metrics: NAMES });
  pool
    .metricCalls('timeout', { period: Duration.minutes(1) })
    .createAlarm(stack, 'Timeouts', { threshold: 10, evaluationPeriods: 1 });
  Template.fromStack(stack).hasResourceProperties('AWS::CloudWatch::Alarm', {
    MetricName: 'flame.calls.timeout',
    Period: 60,
    Threshold: 10,
  });
});

test('a metric that does not exist is an error that names those that do', () => {
  const pool = meteredPool();
  // A program in JavaScript has no types.
  const metric = pool.metric.bind(pool) as (name: string, value?: string) => PoolMetric;
  expect(() => metric('flame.boots')).toThrow('no metric `flame.boots`');
  expect(() => metric('flame.calls', 'lost')).toThrow(
    /flame\.calls has no outcome `lost`: use one of ok, timeout, /,
  );
  expect(() => metric('flame.leases', 'sent')).toThrow('flame.leases has no attribute `sent`');
  expect(() => metric('flame.call.duration')).toThrow(
    'flame.call.duration has no sum: name the phase, one of queue, run, reply',
  );
  expect(() => pool.metricRefusedClients({ backend: MetricBackend.ECS })).toThrow('`backend`');
});

test('a pool without `metrics` has no metrics', () => {
  const { pool } = newPool();
  expect(() => pool.metricCalls('ok')).toThrow(/FlamePool Test\/Pool .* set `metrics`/);
});
