import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duration, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Cluster, CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { expect, test } from 'vitest';
import { FlameReaper, type FlameReaperProps } from '../src';
import { reaperRequests, taskIn } from './requests';
import { allows, denied, lesserPolicies } from './support/simulate';
import { ACCOUNT, BOOTSTRAP, newStack, parentsCluster, REGION, vpcOf } from './support/stacks';
import { Deployed } from './support/template';

const FUNCTION = 'AWS::Lambda::Function';
const CLUSTER = `arn:aws:ecs:${REGION}:${ACCOUNT}:cluster/main`;
const REAPER = join(__dirname, '..', '..', 'control', 'reaper', 'src');
const SETTINGS = readFileSync(join(REAPER, 'settings.rs'), 'utf8');

/** A stack with a reaper of the cluster `main`. */
function newReaper(props: Partial<FlameReaperProps> = {}, stack = newStack()): Stack {
  const options = { clusterName: 'main', vpc: vpcOf(stack) };
  const cluster = Cluster.fromClusterAttributes(stack, 'Cluster', options);
  new FlameReaper(stack, 'Reaper', { cluster, bootstrap: BOOTSTRAP, ...props });
  return stack;
}

/** The number that an expression of the Rust sources stands for: digits, and products of them. */
function numberIn(source: string, pattern: RegExp): number {
  const [, expression = ''] = source.match(pattern) ?? [];
  expect(expression, `${pattern}`).toMatch(/^[\d_ *]+$/);
  const factors = expression.split('*').map((factor) => Number(factor.trim().replaceAll('_', '')));
  return factors.reduce((product, factor) => product * factor);
}

test('by default a function looks for orphans every 15 minutes, and no event is repeated', () => {
  const stack = newReaper();
  const template = Template.fromStack(stack);
  template.hasResourceProperties(FUNCTION, {
    Runtime: 'provided.al2023',
    Handler: 'bootstrap',
    Architectures: ['x86_64'],
    MemorySize: 128,
    Timeout: 120,
    Environment: {
      Variables: { FLAME_REAPER_MIN_AGE_SECONDS: '600', FLAME_REAPER_PAUSE_SECONDS: '60' },
    },
  });
  const deployed = new Deployed(stack);
  const { Environment, ReservedConcurrentExecutions } = deployed.only(FUNCTION);
  expect(Environment.Variables.FLAME_REAPER_CLUSTER).toBe(CLUSTER);
  expect(ReservedConcurrentExecutions).toBeUndefined();
  template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 60,
  });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  expect(deployed.only('AWS::Events::Rule')).toMatchObject({
    ScheduleExpression: 'rate(15 minutes)',
    State: 'ENABLED',
    Targets: [
      {
        Arn: deployed.arnOf(FUNCTION),
        RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 },
      },
    ],
  });
  expect(deployed.only('AWS::Lambda::Permission')).toMatchObject({
    Principal: 'events.amazonaws.com',
    SourceArn: `${deployed.idOf('AWS::Events::Rule')}.Arn`,
  });
});

test('each option reaches the function or its schedule', () => {
  const stack = newReaper({
    cpuArchitecture: CpuArchitecture.ARM64,
    interval: Duration.hours(1),
    minAge: Duration.minutes(20),
    pause: Duration.minutes(2),
    logRetention: RetentionDays.ONE_WEEK,
  });
  const template = Template.fromStack(stack);
  template.hasResourceProperties(FUNCTION, {
    Architectures: ['arm64'],
    Timeout: 180,
    Environment: {
      Variables: { FLAME_REAPER_MIN_AGE_SECONDS: '1200', FLAME_REAPER_PAUSE_SECONDS: '120' },
    },
  });
  template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 hour)' });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
});

test('the program knows every setting, and has the same defaults and limits', () => {
  const stack = newReaper();
  const { Environment, Timeout } = new Deployed(stack).only(FUNCTION);
  const known = [...SETTINGS.matchAll(/pub\(crate\) const \w+: &str = "(\w+)";/g)];
  expect(Object.keys(Environment.Variables).sort()).toEqual(known.map(([, name]) => name).sort());
  const minAge = numberIn(SETTINGS, /seconds\(MIN_AGE, ([^,]+),/);
  const pause = numberIn(SETTINGS, /seconds\(PAUSE, ([^,]+),/);
  expect(Environment.Variables).toMatchObject({
    FLAME_REAPER_MIN_AGE_SECONDS: `${minAge}`,
    FLAME_REAPER_PAUSE_SECONDS: `${pause}`,
  });
  const maxAge = Duration.seconds(numberIn(SETTINGS, /const MAX_SECONDS: u64 = ([^;]+);/));
  const maxPause = Duration.seconds(numberIn(SETTINGS, /const MAX_PAUSE_SECONDS: u64 = ([^;]+);/));
  const second = Duration.seconds(1);
  expect(() => newReaper({ minAge: maxAge, pause: maxPause })).not.toThrow();
  expect(() => newReaper({ minAge: maxAge.plus(second) })).toThrow('`minAge` is 604801 s');
  expect(() => newReaper({ pause: maxPause.plus(second) })).toThrow('`pause` is 601 s');
  // The program rejects a shorter timeout.
  const handler = readFileSync(join(REAPER, 'handler.rs'), 'utf8');
  const requests = numberIn(handler, /TIME_FOR_REQUESTS: Duration = Duration::from_secs\((\d+)\)/);
  expect(Timeout).toBeGreaterThanOrEqual(pause + requests);
});

test('the function may look at the tasks of its clusters, stop those of one, and nothing else', () => {
  const stack = newStack();
  newReaper({ parentClusters: [parentsCluster(stack)] }, stack);
  const deployed = new Deployed(stack);
  const ecs = `arn:aws:ecs:${REGION}:${ACCOUNT}`;
  expect(deployed.statements('Reaper')).toEqual([
    {
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: `${deployed.idOf('AWS::Logs::LogGroup')}.Arn`,
    },
    {
      Effect: 'Allow',
      Action: 'ecs:ListTasks',
      Resource: '*',
      Condition: { ArnEquals: { 'ecs:cluster': CLUSTER } },
    },
    {
      Effect: 'Allow',
      Action: ['ecs:DescribeTasks', 'ecs:StopTask'],
      Resource: `${ecs}:task/main/*`,
    },
    { Effect: 'Allow', Action: 'ecs:DescribeTasks', Resource: `${ecs}:task/parents/*` },
  ]);
});

test('parents in the cluster of the runners need no further statement', () => {
  const stack = newStack();
  const cluster = parentsCluster(stack);
  newReaper({ cluster, parentClusters: [cluster] }, stack);
  expect(new Deployed(stack).statements('Reaper').length).toBe(3);
});

test('the policy allows every request of the program, and needs all of its actions', async () => {
  const stack = newStack();
  newReaper({ parentClusters: [parentsCluster(stack)] }, stack);
  // The first statement is about the log.
  const policy = new Deployed(stack).statements('Reaper').slice(1);
  const requests = reaperRequests(CLUSTER, 'main', ['parents']);
  expect(await denied(policy, requests)).toEqual([]);
  const lesser = [...lesserPolicies(policy, 'Action'), ...lesserPolicies(policy, 'Resource')];
  expect(lesser.length).toBe(7);
  for (const { missing, index, statements } of lesser) {
    const found = await denied(statements, requests);
    expect(found, `without ${missing} in statement ${index}`).not.toEqual([]);
  }
});

test('the policy allows nothing beyond the requests of the program', async () => {
  const stack = newStack();
  newReaper({ parentClusters: [parentsCluster(stack)] }, stack);
  const policy = new Deployed(stack).statements('Reaper');
  const ecs = `arn:aws:ecs:${REGION}:${ACCOUNT}`;
  const beyond: [string, string, { [key: string]: string }?][] = [
    ['ecs:ListTasks', '*', { 'ecs:cluster': `${ecs}:cluster/other` }],
    ['ecs:ListTasks', '*'],
    ['ecs:StopTask', taskIn('parents')],
    ['ecs:StopTask', taskIn('other')],
    ['ecs:DescribeTasks', taskIn('other')],
    ['ecs:RunTask', `${ecs}:task-definition/app:1`, { 'ecs:cluster': CLUSTER }],
    ['ecs:ExecuteCommand', taskIn('main')],
    ['ecs:TagResource', taskIn('main')],
    ['iam:PassRole', `arn:aws:iam::${ACCOUNT}:role/admin`],
  ];
  for (const [action, resource, context] of beyond) {
    expect(await allows(policy, action, resource, context), `${action} on ${resource}`).toBe(false);
  }
});

test('the library makes no other request for a reaper', () => {
  const backend = join(REAPER, '..', '..', 'src', 'backend');
  const sources = ['ecs/reaper.rs', 'ecs/orphan_search.rs', 'sweep.rs'];
  const source = sources.map((file) => readFileSync(join(backend, file), 'utf8')).join();
  const calls = [...source.matchAll(/\bapi\s*\.(\w+)\(/g)].map(([, method]) => method);
  const requests = calls.filter((method) => method !== 'clone');
  // ListTasks, DescribeTasks and StopTask.
  const known = ['tasks', 'describe', 'describe_in', 'stop_task'];
  expect([...new Set(requests)].sort()).toEqual(known.sort());
});

/** Props that can't be used, and what the error says. */
const WRONG: [string, Partial<FlameReaperProps>, string][] = [
  ['a program', { bootstrap: '/missing.zip' }, '`bootstrap`: /missing.zip is neither a zip file'],
  ['an age', { minAge: Duration.days(8) }, '`minAge` is 691200 s'],
  ['a pause', { pause: Duration.minutes(11) }, '`pause` is 660 s'],
  [
    'an interval that is shorter than a search',
    { interval: Duration.minutes(1) },
    '`interval` is 60 s: it must be a whole number of seconds from 120 to 86400, so that one',
  ],
  ['an interval', { interval: Duration.days(2) }, '`interval` is 172800 s'],
  ['an interval in seconds', { interval: Duration.seconds(150) }, 'a whole number of minutes'],
];

test.each(WRONG)(
  '%s that cannot be used fails with a message that names the prop',
  (...[, props, message]) => {
    expect(() => newReaper(props)).toThrow(message);
  },
);
