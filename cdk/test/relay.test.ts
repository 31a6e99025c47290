import { Duration, Size } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Peer, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Cluster } from 'aws-cdk-lib/aws-ecs';
import { expect, test } from 'vitest';
import type { FlameRelayProps } from '../src';
import { newRelay } from './support/relay';
import { lambdaCode, newPool, newStack, parentOf, vpcOf } from './support/stacks';
import { Deployed } from './support/template';

/** The security group of the nodes, and that of the load balancer. */
function groupsOf(deployed: Deployed): { nodes: string; loadBalancer: string } {
  const id = (part: string) => deployed.idOf('AWS::EC2::SecurityGroup', part);
  return {
    nodes: `${id('RelayNodes')}.GroupId`,
    loadBalancer: `${id('RelayParents')}.GroupId`,
  };
}

/** All rules between security groups, as `from -> to port`. */
function rules(deployed: Deployed): string[] {
  const found = deployed.all('AWS::EC2::SecurityGroupIngress');
  return found.map((rule) => `${rule.SourceSecurityGroupId} -> ${rule.GroupId} ${rule.FromPort}`);
}

test('each endpoint has a TLS listener, and a service whose nodes are checked by /readyz', () => {
  const { stack, relay } = newRelay();
  const template = Template.fromStack(stack);
  expect(relay.urls).toEqual(['wss://relay.example.com', 'wss://relay.example.com:444']);
  expect(relay.services.length).toBe(2);
  for (const Port of [443, 444]) {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port,
      Protocol: 'TLS',
      Certificates: [{ CertificateArn: Match.stringLikeRegexp('certificate/0') }],
    });
  }
  template.resourcePropertiesCountIs(
    'AWS::ElasticLoadBalancingV2::TargetGroup',
    { Port: 8443, Protocol: 'TCP', HealthCheckProtocol: 'HTTP', HealthCheckPath: '/readyz' },
    2,
  );
  template.resourcePropertiesCountIs('AWS::ECS::Service', { DesiredCount: 1 }, 2);
  // Otherwise a client in the zone without a node would reach none.
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
    LoadBalancerAttributes: Match.arrayWith([
      { Key: 'load_balancing.cross_zone.enabled', Value: 'true' },
    ]),
  });
});

test('a node has time to drain, and a new node is up before', () => {
  const template = Template.fromStack(newRelay({ drainTime: Duration.seconds(40) }).stack);
  template.hasResourceProperties('AWS::ECS::TaskDefinition', {
    ContainerDefinitions: [
      {
        StopTimeout: 55,
        Environment: Match.arrayWith([{ Name: 'FLAME_RELAY_DRAIN_TIME', Value: '40s' }]),
      },
    ],
  });
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
    TargetGroupAttributes: Match.arrayWith([
      { Key: 'deregistration_delay.timeout_seconds', Value: '15' },
      { Key: 'preserve_client_ip.enabled', Value: 'true' },
    ]),
  });
  template.hasResourceProperties('AWS::ECS::Service', {
    DeploymentConfiguration: { MinimumHealthyPercent: 100, MaximumPercent: 200 },
  });
});

test('a node has a read-only root, its keys from Secrets Manager, and no permission', () => {
  const { stack } = newRelay({ endpoints: 1 });
  const deployed = new Deployed(stack);
  const [container] = deployed.only('AWS::ECS::TaskDefinition').ContainerDefinitions;
  const accepted = deployed.arnOf('AWS::SecretsManager::Secret', 'Accepted');
  expect(container).toMatchObject({
    Image: 'flame-relay:1',
    ReadonlyRootFilesystem: true,
    Secrets: [{ Name: 'FLAME_RELAY_KEYS', ValueFrom: accepted }],
    Ulimits: [{ Name: 'nofile', HardLimit: 131_072, SoftLimit: 131_072 }],
  });
  expect(deployed.statements('TaskRole')).toEqual([]);
  expect(deployed.statements('ExecutionRole')).toEqual([
    {
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: `${deployed.idOf('AWS::Logs::LogGroup', 'RelayLog')}.Arn`,
    },
    {
      Effect: 'Allow',
      Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
      Resource: accepted,
    },
  ]);
});

test('nobody may connect before it is allowed, except the load balancer to the nodes', () => {
  const deployed = new Deployed(newRelay().stack);
  const { nodes, loadBalancer } = groupsOf(deployed);
  const groups = deployed.all('AWS::EC2::SecurityGroup');
  expect(groups.flatMap((group) => group.SecurityGroupIngress ?? [])).toEqual([]);
  expect(rules(deployed)).toEqual([`${loadBalancer} -> ${nodes} 8443`]);
});

test('parents outside of the VPC reach the load balancer only', () => {
  const { stack, relay } = newRelay();
  relay.allowParents(Peer.ipv4('203.0.113.0/24'));
  const deployed = new Deployed(stack);
  const groups = deployed.all('AWS::EC2::SecurityGroup');
  const opened = groups.flatMap((group) => group.SecurityGroupIngress ?? []);
  expect(opened.map(({ CidrIp, FromPort }) => `${CidrIp} ${FromPort}`)).toEqual([
    '203.0.113.0/24 443',
    '203.0.113.0/24 444',
  ]);
});

test('a parent in the VPC reaches the load balancer and the nodes', () => {
  const stack = newStack();
  const parent = new SecurityGroup(stack, 'Own', { vpc: vpcOf(stack) });
  const { relay } = newRelay({ endpoints: 1 }, stack);
  relay.allowParent(parent);
  const deployed = new Deployed(stack);
  const { nodes, loadBalancer } = groupsOf(deployed);
  const own = `${deployed.idOf('AWS::EC2::SecurityGroup', 'Own')}.GroupId`;
  expect(rules(deployed).sort()).toEqual(
    [
      `${loadBalancer} -> ${nodes} 8443`,
      `${own} -> ${loadBalancer} 443`,
      `${own} -> ${nodes} 8443`,
    ].sort(),
  );
});

test('metrics and page have a port that the load balancer does not forward to', () => {
  const deployed = new Deployed(newRelay({ endpoints: 1 }).stack);
  const [container] = deployed.only('AWS::ECS::TaskDefinition').ContainerDefinitions;
  expect(container.Environment).toContainEqual({
    Name: 'FLAME_RELAY_METRICS_LISTEN',
    Value: '0.0.0.0:9464',
  });
  expect(deployed.only('AWS::ECS::Service').LoadBalancers).toMatchObject([{ ContainerPort: 8443 }]);
  // The health of a node is checked on the port that is forwarded to.
  const target = deployed.only('AWS::ElasticLoadBalancingV2::TargetGroup');
  expect([target.Port, target.HealthCheckPort]).toEqual([8443, undefined]);
});

test('nobody may read metrics and page before it is allowed', () => {
  const stack = newStack();
  const [parent, reader] = ['Own', 'Prometheus'].map(
    (id) => new SecurityGroup(stack, id, { vpc: vpcOf(stack) }),
  ) as [SecurityGroup, SecurityGroup];
  const { relay } = newRelay({ endpoints: 1 }, stack);
  relay.allowParent(parent);
  relay.allowParents(Peer.ipv4('203.0.113.0/24'));
  newPool({ relay, vpc: undefined }, stack);
  relay.allowMetrics(reader);
  const deployed = new Deployed(stack);
  const own = `${deployed.idOf('AWS::EC2::SecurityGroup', 'Prometheus')}.GroupId`;
  expect(rules(deployed).filter((rule) => rule.endsWith(' 9464'))).toEqual([
    `${own} -> ${groupsOf(deployed).nodes} 9464`,
  ]);
  const groups = deployed.all('AWS::EC2::SecurityGroup');
  const opened = groups.flatMap((group) => group.SecurityGroupIngress ?? []);
  expect(opened.map(({ FromPort }) => FromPort)).toEqual([443]);
});

test('the runners of a pool with a relay reach its nodes, and its parent gets the rest', () => {
  const stack = newStack();
  const { relay } = newRelay({}, stack);
  const { pool } = newPool({ relay, vpc: undefined }, stack);
  expect(pool.vpc).toBe(relay.vpc);
  pool.grantParent(parentOf(stack));
  const deployed = new Deployed(stack);
  const runners = `${deployed.idOf('AWS::EC2::SecurityGroup', 'Pool')}.GroupId`;
  expect(rules(deployed)).toContain(`${runners} -> ${groupsOf(deployed).nodes} 8443`);
  const { FLAME_RELAY_URL, ...others } = pool.environmentForParent();
  expect(FLAME_RELAY_URL).toBe('wss://relay.example.com,wss://relay.example.com:444');
  expect(Object.keys(others)).toEqual(['FLAME_AWS']);
  expect(deployed.statements('Parent').at(-1)).toEqual({
    Effect: 'Allow',
    Action: 'secretsmanager:GetSecretValue',
    Resource: deployed.arnOf('AWS::SecretsManager::Secret', 'RelayKeysKey'),
  });
  expect(Object.keys(relay.secretsForParent())).toEqual(['FLAME_RELAY_KEY']);
});

test('runners outside of any VPC use the load balancer', () => {
  const stack = newStack();
  const { relay } = newRelay({}, stack);
  const lambda = { code: lambdaCode(), outsideVpc: true };
  expect(() => newPool({ relay, vpc: undefined, lambda }, stack)).not.toThrow();
});

test('with scaling, nodes are added by connections and by CPU', () => {
  const scaling = { maxNodes: 4, connectionsPerNode: 1_000 };
  const template = Template.fromStack(newRelay({ scaling }).stack);
  template.resourcePropertiesCountIs(
    'AWS::ApplicationAutoScaling::ScalableTarget',
    { MinCapacity: 1, MaxCapacity: 4 },
    2,
  );
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    Threshold: 1_000,
    ComparisonOperator: 'GreaterThanOrEqualToThreshold',
    Metrics: Match.arrayWith([Match.objectLike({ Expression: 'flows / (nodes1 + nodes2)' })]),
  });
  template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
    TargetTrackingScalingPolicyConfiguration: { TargetValue: 60 },
  });
});

test('without scaling, each endpoint has one node', () => {
  const template = Template.fromStack(newRelay().stack);
  template.resourceCountIs('AWS::ApplicationAutoScaling::ScalableTarget', 0);
});

test('a cluster of the user is used', () => {
  const stack = newStack();
  const vpc = vpcOf(stack);
  const cluster = Cluster.fromClusterAttributes(stack, 'Own', { clusterName: 'main', vpc });
  newRelay({ cluster }, stack);
  Template.fromStack(stack).hasResourceProperties('AWS::ECS::Service', { Cluster: 'main' });
});

/** Props that can't be used, and what the error says. */
const WRONG: [string, Partial<FlameRelayProps>, string][] = [
  ['a name', { domainName: 'wss://relay' }, '`domainName` is `wss://relay`'],
  [
    'a number of endpoints',
    { endpoints: 4 },
    '`endpoints` is 4: it must be a whole number from 1 to 3',
  ],
  ['a port', { port: 65_534 }, '`port` is 65534'],
  ['a size', { cpu: 512, memory: Size.gibibytes(8) }, '`memory` is 8192 MiB: with `cpu` 512'],
  ['a drain time', { drainTime: Duration.seconds(106) }, '`drainTime` is 106 s'],
  ['a number of nodes', { scaling: { maxNodes: 1 } }, '`scaling.maxNodes` is 1'],
  ['an interval', { keyRotation: Duration.hours(1) }, '`keyRotation` is 3600 s'],
  ['a variable', { environment: { FLAME_RELAY_KEYS: 'k' } }, '`environment` sets FLAME_RELAY_KEYS'],
  [
    'an address for metrics',
    { environment: { FLAME_RELAY_METRICS_LISTEN: '0.0.0.0:8443' } },
    '`environment` sets FLAME_RELAY_METRICS_LISTEN',
  ],
];

test.each(WRONG)(
  '%s that cannot be used fails with a message that names the prop',
  (...[, props, message]) => {
    expect(() => newRelay(props)).toThrow(message);
  },
);
