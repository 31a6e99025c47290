import { Topic } from 'aws-cdk-lib/aws-sns';
import { expect, test } from 'vitest';
import { newRelay } from './support/relay';
import { newStack } from './support/stacks';
import { Deployed } from './support/template';

test('each endpoint of a relay has an alarm on the end of its last healthy node', () => {
  const stack = newStack();
  const topic = new Topic(stack, 'Pager');
  const { relay } = newRelay({ alarms: { topic } }, stack);
  expect(relay.alarms.map(({ node }) => node.path)).toEqual([
    'Test/Relay/Endpoint1/NoHealthyNode',
    'Test/Relay/Endpoint2/NoHealthyNode',
  ]);
  const deployed = new Deployed(stack);
  const topicId = deployed.idOf('AWS::SNS::Topic');
  const found = deployed.all('AWS::CloudWatch::Alarm');
  for (const [index, port] of [443, 444].entries()) {
    const { AlarmDescription, Dimensions, ...others } = found[index];
    expect(AlarmDescription).toContain(`endpoint ${port} of the relay relay.example.com`);
    expect(Dimensions.map(({ Name }: { Name: string }) => Name)).toEqual([
      'LoadBalancer',
      'TargetGroup',
    ]);
    expect(others).toEqual({
      Namespace: 'AWS/NetworkELB',
      MetricName: 'HealthyHostCount',
      Statistic: 'Maximum',
      Period: 60,
      EvaluationPeriods: 5,
      Threshold: 1,
      ComparisonOperator: 'LessThanThreshold',
      TreatMissingData: 'breaching',
      AlarmActions: [topicId],
      OKActions: [topicId],
    });
  }
  const groups = found.map(({ Dimensions }) => JSON.stringify(Dimensions));
  expect(new Set(groups).size).toBe(2);
});

test('an alarm is created after the nodes, since it would go off without them', () => {
  const { stack } = newRelay({ alarms: {}, endpoints: 1 });
  const deployed = new Deployed(stack);
  const { DependsOn } = deployed.resources[deployed.idOf('AWS::CloudWatch::Alarm')] as {
    DependsOn?: string[];
  };
  expect(DependsOn).toContain(deployed.idOf('AWS::ECS::Service'));
});

test('a relay without `alarms` has none', () => {
  const { stack, relay } = newRelay();
  expect(relay.alarms).toEqual([]);
  expect(new Deployed(stack).all('AWS::CloudWatch::Alarm')).toEqual([]);
});

test('the healthy nodes of an endpoint are a metric', () => {
  const { relay } = newRelay();
  const { metricName, statistic } = relay.metricHealthyNodes(2, { statistic: 'Minimum' });
  expect([metricName, statistic]).toEqual(['HealthyHostCount', 'Minimum']);
  for (const endpoint of [0, 3]) {
    expect(() => relay.metricHealthyNodes(endpoint)).toThrow(
      `Test/Relay has no endpoint ${endpoint}: use 1 to 2`,
    );
  }
});
