import { Duration } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { newRelay } from './support/relay';
import { allows } from './support/simulate';
import { ACCOUNT, REGION } from './support/stacks';
import { Deployed } from './support/template';

const KEY = 'key';
const ACCEPTED = 'accepted';

/** Secrets Manager and ECS, as far as a rotation needs them. */
class FakeAws {
  /** Secret, version, value. */
  readonly values = new Map([
    [KEY, new Map([['v1', 'first']])],
    [ACCEPTED, new Map([['a1', 'first']])],
  ]);
  readonly stages = new Map([
    [KEY, new Map([['AWSCURRENT', 'v1']])],
    [ACCEPTED, new Map([['AWSCURRENT', 'a1']])],
  ]);
  readonly log: string[] = [];
  /** What the services say, one answer for each request; the last one stays. */
  rollouts: { rolloutState: string }[][] = [[{ rolloutState: 'COMPLETED' }]];

  async secret(id: string, stage: string, version?: string) {
    const current = this.stages.get(id)?.get(stage);
    const found = version === undefined || version === current ? current : undefined;
    return found === undefined ? undefined : this.values.get(id)?.get(found);
  }

  async currentVersion(id: string) {
    return this.stages.get(id)?.get('AWSCURRENT') ?? '';
  }

  async put(id: string, value: string, version?: string) {
    const name = version ?? `auto-${this.log.length}`;
    this.values.get(id)?.set(name, value);
    this.stages.get(id)?.set(version ? 'AWSPENDING' : 'AWSCURRENT', name);
    this.log.push(`put ${id}`);
  }

  async promote(id: string, from: string | undefined, to: string) {
    expect(this.stages.get(id)?.get('AWSCURRENT')).toBe(from);
    this.stages.get(id)?.set('AWSCURRENT', to);
    this.log.push(`promote ${id}`);
  }

  async restart(service: string) {
    this.log.push(`restart ${service}`);
  }

  async deployments(service: string) {
    this.log.push(`deployments ${service}`);
    const [next = []] = this.rollouts.length > 1 ? this.rollouts.splice(0, 1) : this.rollouts;
    return next;
  }

  /** Carries out one step, with this many seconds left. */
  async step(Step: string, version: string, seconds = 600): Promise<void> {
    let remaining = seconds * 1_000;
    const { rotate } = await import('../rotation/rotate.mjs');
    await rotate({ SecretId: KEY, ClientRequestToken: version, Step }, this, {
      acceptedKeys: ACCEPTED,
      services: ['one', 'two'],
      remainingMs: () => remaining,
      sleep: async (ms) => {
        remaining -= ms;
      },
    });
  }

  async rotateTo(version: string): Promise<void> {
    for (const step of ['createSecret', 'setSecret', 'testSecret', 'finishSecret']) {
      await this.step(step, version);
    }
  }

  async current(id: string): Promise<string> {
    return (await this.secret(id, 'AWSCURRENT')) ?? '';
  }
}

test('the nodes accept the new key before the parents get it, and still accept the old one', async () => {
  const aws = new FakeAws();
  await aws.rotateTo('v2');
  const key = await aws.current(KEY);
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(await aws.current(ACCEPTED)).toBe(`${key},first`);
  expect(aws.log).toEqual([
    'put key',
    'put accepted',
    'restart one',
    'restart two',
    'deployments one',
    'deployments two',
    'promote key',
  ]);
});

test('the second rotation ends the first key', async () => {
  const aws = new FakeAws();
  await aws.rotateTo('v2');
  const second = await aws.current(KEY);
  await aws.rotateTo('v3');
  const third = await aws.current(KEY);
  expect(await aws.current(ACCEPTED)).toBe(`${third},${second}`);
});

test('a repeated rotation keeps its pending key, and finishes once', async () => {
  const aws = new FakeAws();
  await aws.step('createSecret', 'v2');
  const pending = await aws.secret(KEY, 'AWSPENDING');
  await aws.rotateTo('v2');
  expect(await aws.current(KEY)).toBe(pending);
  await aws.step('finishSecret', 'v2');
  expect(aws.log.filter((line) => line === 'promote key').length).toBe(1);
});

test('the parents do not get the key while a service still runs old nodes', async () => {
  const aws = new FakeAws();
  await aws.step('createSecret', 'v2');
  await aws.step('setSecret', 'v2');
  const old = [{ rolloutState: 'IN_PROGRESS' }, { rolloutState: 'COMPLETED' }];
  const draining = [{ rolloutState: 'COMPLETED' }, { rolloutState: 'COMPLETED' }];
  aws.rollouts = [old, draining, [{ rolloutState: 'COMPLETED' }]];
  await aws.step('testSecret', 'v2');
  expect(aws.log.filter((line) => line === 'deployments one').length).toBe(3);
  aws.rollouts = [old];
  await expect(aws.step('testSecret', 'v2', 60)).rejects.toThrow('one still runs nodes');
  aws.rollouts = [[{ rolloutState: 'IN_PROGRESS' }, { rolloutState: 'FAILED' }]];
  await expect(aws.step('testSecret', 'v2')).rejects.toThrow('has failed');
  expect(await aws.current(KEY)).toBe('first');
});

test('an unknown step and a missing key are errors', async () => {
  const aws = new FakeAws();
  await expect(aws.step('other', 'v2')).rejects.toThrow('unknown step of a rotation: other');
  await expect(aws.step('setSecret', 'v2')).rejects.toThrow('no pending');
});

test('the key is rotated on schedule by a function that may do only that', () => {
  const { stack } = newRelay({ keyRotation: Duration.days(30) });
  const deployed = new Deployed(stack);
  const key = deployed.arnOf('AWS::SecretsManager::Secret', 'KeysKey');
  const services = Object.keys(deployed.resources).filter(
    (id) => deployed.resources[id]?.Type === 'AWS::ECS::Service',
  );
  expect(deployed.only('AWS::SecretsManager::RotationSchedule')).toMatchObject({
    SecretId: key,
    RotationRules: { AutomaticallyAfterDays: 30 },
    RotateImmediatelyOnUpdate: false,
  });
  expect(deployed.statements('RotationRole')).toEqual([
    {
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: `${deployed.idOf('AWS::Logs::LogGroup', 'Rotation')}.Arn`,
    },
    {
      Effect: 'Allow',
      Action: [
        'secretsmanager:DescribeSecret',
        'secretsmanager:GetSecretValue',
        'secretsmanager:PutSecretValue',
        'secretsmanager:UpdateSecretVersionStage',
      ],
      Resource: key,
    },
    {
      Effect: 'Allow',
      Action: 'secretsmanager:PutSecretValue',
      Resource: deployed.arnOf('AWS::SecretsManager::Secret', 'Accepted'),
    },
    {
      Effect: 'Allow',
      Action: ['ecs:UpdateService', 'ecs:DescribeServices'],
      Resource: services,
    },
  ]);
  expect(deployed.only('AWS::Lambda::Permission')).toMatchObject({
    Principal: 'secretsmanager.amazonaws.com',
    SourceArn: key,
  });
});

test('the function may do everything that it does, and needs all of it', async () => {
  const deployed = new Deployed(newRelay({ endpoints: 1 }).stack);
  const key = deployed.arnOf('AWS::SecretsManager::Secret', 'KeysKey');
  const accepted = deployed.arnOf('AWS::SecretsManager::Secret', 'Accepted');
  const service = `arn:aws:ecs:${REGION}:${ACCOUNT}:service/cluster/service`;
  const requests: [string, string][] = [
    ['secretsmanager:DescribeSecret', key],
    ['secretsmanager:GetSecretValue', key],
    ['secretsmanager:PutSecretValue', key],
    ['secretsmanager:UpdateSecretVersionStage', key],
    ['secretsmanager:PutSecretValue', accepted],
    ['ecs:UpdateService', service],
    ['ecs:DescribeServices', service],
  ];
  const policy = deployed
    .statements('RotationRole')
    .slice(1)
    .map((statement) => ({
      ...statement,
      // The ARN of a service is known only after the deployment.
      Resource: [statement.Resource].flat().map((arn) => (arn.startsWith('arn:') ? arn : service)),
    }));
  for (const [action, resource] of requests) {
    expect(await allows(policy, action, resource), `${action} on ${resource}`).toBe(true);
  }
  const granted = policy.flatMap(({ Action, Resource }) =>
    [Action].flat().flatMap((action) => Resource.map((resource) => [action, resource])),
  );
  expect(granted.sort()).toEqual(requests.sort());
  expect(await allows(policy, 'secretsmanager:GetSecretValue', accepted)).toBe(false);
});

test('the nodes first accept the key that was generated', () => {
  const { stack } = newRelay();
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::SecretsManager::Secret', {
    GenerateSecretString: { PasswordLength: 64, ExcludePunctuation: true },
  });
  const [accepted] = new Deployed(stack).all('AWS::SecretsManager::Secret').slice(-1);
  expect(accepted.SecretString).toMatch(/^{{resolve:secretsmanager:arn:.*:SecretString:::}}$/);
});

test('without rotation there is no function', () => {
  const template = Template.fromStack(newRelay({ rotateKey: false }).stack);
  template.resourceCountIs('AWS::Lambda::Function', 0);
  template.resourceCountIs('AWS::SecretsManager::RotationSchedule', 0);
});
