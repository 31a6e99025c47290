import { App, Stack } from 'aws-cdk-lib';
import { SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage, FargateService, FargateTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { ListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { expect, test } from 'vitest';
import { FlamePool, FlameRelay } from '../src';
import { ACCOUNT, ecsCode, lambdaCode, REGION } from './support/stacks';

test('network, relay, pool and parent can be in stacks of their own', () => {
  const app = new App();
  const env = { account: ACCOUNT, region: REGION };
  const [networks, relays, pools, parents] = ['Network', 'Relay', 'Pool', 'Parent'].map(
    (name) => new Stack(app, name, { env }),
  ) as [Stack, Stack, Stack, Stack];
  const vpc = new Vpc(networks, 'Vpc');
  const bucket = new Bucket(networks, 'Code');
  const alarms = { topic: new Topic(networks, 'Alarms') };
  const relay = new FlameRelay(relays, 'Relay', {
    vpc,
    domainName: 'relay.example.com',
    certificate: ListenerCertificate.fromArn(`arn:aws:acm:${REGION}:${ACCOUNT}:certificate/0`),
    image: ContainerImage.fromRegistry('flame-relay:1'),
    alarms,
  });
  const pool = new FlamePool(pools, 'Pool', {
    vpc,
    relay,
    codeStore: { bucket },
    ecs: { code: ecsCode(), cluster: relay.cluster },
    lambda: { code: lambdaCode() },
    metrics: { app: 'my-app', pool: 'thumbs' },
    alarms,
    dashboard: {},
  });
  const taskDefinition = new FargateTaskDefinition(parents, 'Task');
  taskDefinition.addContainer('service', {
    image: ContainerImage.fromRegistry('service:1'),
    environment: pool.environmentForParent(),
    secrets: relay.secretsForParent(),
  });
  const service = new FargateService(parents, 'Service', {
    cluster: relay.cluster,
    taskDefinition,
    securityGroups: [new SecurityGroup(parents, 'Group', { vpc })],
  });
  pool.grantParent(taskDefinition.taskRole);
  pool.allowRunnersTo(service);
  relay.allowParent(service);

  // Throws an error if two stacks depend on each other.
  app.synth();
  const needs = (stack: Stack) => stack.dependencies.map(({ stackName }) => stackName).sort();
  expect(needs(relays)).toEqual(['Network']);
  expect(needs(pools)).toEqual(['Network', 'Relay']);
  expect(needs(parents)).toEqual(['Network', 'Pool', 'Relay']);
});
