import { Duration } from 'aws-cdk-lib';
import { LambdaAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { describe, expect, test } from 'vitest';
import { FargateCapacity, type FlamePoolAlarms, type FlamePoolProps } from '../src';
import { ACCOUNT, lambdaCode, newPool, newStack, REGION } from './support/stacks';
import { Deployed } from './support/template';

const metrics = { app: 'my-app', pool: 'thumbs' };
const both = { ecs: {}, lambda: { code: lambdaCode() } };
const POOL = [
  { Name: 'App', Value: 'my-app' },
  { Name: 'Pool', Value: 'thumbs' },
];

/** The alarms of a pool, by the end of their logical ids. */
function alarmsOf(alarms: FlamePoolAlarms, props: FlamePoolProps = both, stack = newStack()) {
  const { pool } = newPool({ metrics, alarms, ...props }, stack);
  const deployed = new Deployed(stack);
  const found = Object.entries(deployed.resources)
    .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm')
    .map(([id, { Properties }]) => {
      const name = id.replace(/^PoolAlarms/, '').replace(/[0-9A-F]{8}$/, '');
      return [name, deployed.plain(Properties)] as const;
    });
  return { pool, deployed, alarms: Object.fromEntries(found) };
}

/** The query of one metric in an expression. */
function query(Id: string, MetricName: string, Stat: string, Period: number) {
  const Metric = { Namespace: 'Flame', MetricName, Dimensions: POOL };
  return { Id, MetricStat: { Metric, Period, Stat }, ReturnData: false };
}

/** The expression that an alarm watches. */
function expression(Label: string, Expression: string) {
  return { Id: 'expr_1', Label, Expression, ReturnData: true };
}

describe('each alarm', () => {
  const { alarms } = alarmsOf(
    {},
    { ...both, ecs: { ...both.ecs, capacity: FargateCapacity.SPOT_FIRST } },
  );
  const common = {
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    TreatMissingData: 'notBreaching',
  };
  /** The properties of an alarm, without its description. */
  const properties = (name: string) => {
    const { AlarmDescription, ...others } = alarms[name];
    expect(AlarmDescription).toEqual(expect.any(String));
    return others;
  };

  test('exists by default', () => {
    expect(Object.keys(alarms).sort()).toEqual([
      'BootFailures',
      'FunctionThrottles',
      'Orphans',
      'QueueWait',
      'RefusedClients',
      'SpotVcpuQuota',
      'StuckBoots',
      'ThrottledBoots',
      'VcpuQuota',
    ]);
  });

  test('has a description of full sentences that CloudWatch accepts', () => {
    for (const [name, { AlarmDescription }] of Object.entries(alarms)) {
      expect(AlarmDescription, name).toMatch(/^[A-Z0-9].*\. .*\.$/s);
      expect(AlarmDescription.length, name).toBeLessThanOrEqual(1_024);
      expect(AlarmDescription, name).toContain('the pool thumbs');
    }
  });

  test('of failed boots adds up all reasons', () => {
    const { Metrics, ...others } = properties('BootFailures');
    expect(others).toEqual({ ...common, EvaluationPeriods: 1, Threshold: 5 });
    const reasons = [
      ...['throttled', 'capacity', 'quota', 'unavailable', 'misconfigured', 'died'],
      ...['timed_out', 'rejected', 'other'],
    ];
    const idOf = (reason: string) => `flame_boot_failures_${reason}_sum`;
    expect(Metrics).toEqual([
      expression('flame.boot.failures', `SUM([${reasons.map(idOf).join(', ')}])`),
      ...reasons.map((reason) => ({
        ...query(idOf(reason), `flame.boot.failures.${reason}`, 'Sum', 300),
        Label: reason,
      })),
    ]);
  });

  test('of the queue watches the slowest hundredth of the calls for 10 minutes', () => {
    expect(properties('QueueWait')).toEqual({
      ...common,
      Namespace: 'Flame',
      MetricName: 'flame.call.duration.queue',
      Dimensions: POOL,
      ExtendedStatistic: 'p99',
      Period: 300,
      EvaluationPeriods: 2,
      Threshold: 120,
    });
  });

  test('of stuck boots watches runners that boot while none is up', () => {
    const { Metrics, ...others } = properties('StuckBoots');
    expect(others).toEqual({ ...common, EvaluationPeriods: 5, Threshold: 1 });
    const state = (name: string) => query(name, `flame.runners.${name}`, 'Maximum', 60);
    expect(Metrics).toEqual([
      expression('Boots without a runner', 'booting > 0 AND (active + idle) == 0'),
      state('booting'),
      state('active'),
      state('idle'),
    ]);
  });

  test.each([
    ['Orphans', 'flame.orphans.stopped'],
    ['ThrottledBoots', 'flame.boot.failures.throttled'],
  ])('%s counts the events of one metric', (name, MetricName) => {
    expect(properties(name)).toEqual({
      ...common,
      Namespace: 'Flame',
      MetricName,
      Dimensions: POOL,
      Statistic: 'Sum',
      Period: 300,
      EvaluationPeriods: 1,
      Threshold: 1,
    });
  });

  test('of refused clients adds up the steps of all pools of the app', () => {
    const { Metrics, ...others } = properties('RefusedClients');
    expect(others).toEqual({ ...common, EvaluationPeriods: 1, Threshold: 10 });
    const [sum, ...parts] = Metrics;
    expect(sum.Expression).toBe(
      'SUM([flame_listener_refusals_handshake_sum, flame_listener_refusals_hello_sum, flame_listener_refusals_admission_sum])',
    );
    for (const { MetricStat } of parts) {
      expect(MetricStat).toMatchObject({ Stat: 'Sum', Period: 300 });
      expect(MetricStat.Metric.Dimensions).toEqual([{ Name: 'App', Value: 'my-app' }]);
    }
  });

  test.each([
    ['VcpuQuota', 'OnDemand', 'vcpus_ondemand'],
    ['SpotVcpuQuota', 'Spot', 'vcpus_spot'],
  ])('%s watches the quota of its capacity', (name, capacity, id) => {
    const { Metrics, ...others } = properties(name);
    expect(others).toEqual({ ...common, EvaluationPeriods: 1, Threshold: 80 });
    const [percent, usage, ...rest] = Metrics;
    expect(percent.Expression).toBe(`100 * ${id} / SERVICE_QUOTA(${id})`);
    expect(rest).toEqual([]);
    expect(usage).toEqual({
      Id: id,
      MetricStat: {
        Metric: {
          Namespace: 'AWS/Usage',
          MetricName: 'ResourceCount',
          Dimensions: [
            { Name: 'Class', Value: `Standard/${capacity}` },
            { Name: 'Resource', Value: 'vCPU' },
            { Name: 'Service', Value: 'Fargate' },
            { Name: 'Type', Value: 'Resource' },
          ],
        },
        Period: 300,
        Stat: 'Maximum',
      },
      ReturnData: false,
    });
  });

  test('of the function watches its throttles', () => {
    const { Dimensions, ...others } = properties('FunctionThrottles');
    expect(Dimensions).toEqual([
      { Name: 'FunctionName', Value: expect.stringContaining('Lambda') },
    ]);
    expect(others).toEqual({
      ...common,
      Namespace: 'AWS/Lambda',
      MetricName: 'Throttles',
      Statistic: 'Sum',
      Period: 300,
      EvaluationPeriods: 1,
      Threshold: 1,
    });
  });

  test('has at most the ten metrics that CloudWatch accepts', () => {
    for (const [name, { Metrics = [] }] of Object.entries(alarms)) {
      const queries = Metrics.filter(({ MetricStat }: { MetricStat?: object }) => MetricStat);
      expect(queries.length, name).toBeLessThanOrEqual(10);
    }
  });
});

test('thresholds are those of the props', () => {
  const { alarms } = alarmsOf({
    bootFailures: 20,
    queueWait: Duration.seconds(5),
    stuckBoots: Duration.minutes(3),
    orphans: 2,
    throttledBoots: 3,
    refusedClients: 4,
    vcpuQuota: 50,
    functionThrottles: 6,
  });
  const thresholds = Object.entries(alarms).map(([name, { Threshold }]) => [name, Threshold]);
  expect(Object.fromEntries(thresholds)).toEqual({
    BootFailures: 20,
    QueueWait: 5,
    StuckBoots: 1,
    Orphans: 2,
    ThrottledBoots: 3,
    RefusedClients: 4,
    VcpuQuota: 50,
    FunctionThrottles: 6,
  });
  expect(alarms.StuckBoots.EvaluationPeriods).toBe(3);
  expect(alarms.QueueWait.AlarmDescription).toContain('for 5 seconds or more');
  expect(alarms.Orphans.AlarmDescription).toMatch(/^2 or more runners of the pool thumbs/);
});

test('an alarm whose threshold is false does not exist', () => {
  const all = alarmsOf({}).alarms;
  const { pool, alarms } = alarmsOf({
    bootFailures: false,
    queueWait: false,
    stuckBoots: false,
    orphans: false,
    throttledBoots: false,
    refusedClients: false,
    vcpuQuota: false,
    functionThrottles: false,
  });
  expect(Object.keys(all).length).toBe(8);
  expect(alarms).toEqual({});
  expect(Object.values(pool.alarms).filter((alarm) => alarm !== undefined)).toEqual([]);
});

test('alarms on ECS and Lambda exist only for runners there', () => {
  const platform = (props: FlamePoolProps) => {
    const names = Object.keys(alarmsOf({}, props).alarms);
    return names.filter((name) => /Quota|Function/.test(name)).sort();
  };
  expect(platform({ ecs: both.ecs })).toEqual(['VcpuQuota']);
  const spot = { ...both.ecs, capacity: FargateCapacity.SPOT };
  expect(platform({ ecs: spot })).toEqual(['SpotVcpuQuota']);
  expect(platform({ lambda: both.lambda })).toEqual(['FunctionThrottles']);
});

test('a topic gets a message when an alarm goes off, and when it is over', () => {
  const stack = newStack();
  const masterKey = new Key(stack, 'Key');
  const topic = new Topic(stack, 'Pager', { masterKey, enforceSSL: true });
  const { alarms, deployed } = alarmsOf({ topic }, both, stack);
  const topicId = deployed.idOf('AWS::SNS::Topic');
  for (const [name, alarm] of Object.entries(alarms)) {
    expect([name, alarm.AlarmActions, alarm.OKActions]).toEqual([name, [topicId], [topicId]]);
  }
  const byAlarms = {
    Effect: 'Allow',
    Principal: { Service: 'cloudwatch.amazonaws.com' },
    Condition: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
  };
  const [, ...statements] = deployed.only('AWS::SNS::TopicPolicy').PolicyDocument.Statement;
  expect(statements).toEqual([{ ...byAlarms, Sid: '1', Action: 'sns:Publish', Resource: topicId }]);
  expect(deployed.only('AWS::KMS::Key').KeyPolicy.Statement.slice(1)).toEqual([
    { ...byAlarms, Action: ['kms:Decrypt', 'kms:GenerateDataKey*'], Resource: '*' },
  ]);
});

test('further actions run when an alarm goes off', () => {
  const stack = newStack();
  const arn = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:page`;
  const page = LambdaFunction.fromFunctionArn(stack, 'Page', arn);
  const { alarms } = alarmsOf({ actions: [new LambdaAction(page)] }, both, stack);
  expect(Object.keys(alarms).length).toBe(8);
  for (const alarm of Object.values(alarms)) {
    expect(alarm.AlarmActions).toEqual([arn]);
    expect(alarm.OKActions).toBeUndefined();
  }
});

test('a pool gives its alarms, to change and extend them', () => {
  const { pool } = alarmsOf({});
  const { bootFailures, spotVcpuQuota } = pool.alarms;
  expect(bootFailures?.node.path).toBe('Test/Pool/Alarms/BootFailures');
  expect(spotVcpuQuota).toBeUndefined();
  expect(newPool({ metrics }).pool.alarms).toEqual({});
});
