import { Duration, Size } from 'aws-cdk-lib';
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage, FargateTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { expect, test } from 'vitest';
import { type EcsRunnersOptions, type FlamePoolProps, RunnerCode } from '../src';
import { BOOTSTRAP, ecsCode, lambdaCode, newPool, newStack } from './support/stacks';

const code = lambdaCode();
const metrics = { app: 'my-app', pool: 'thumbs' };

/** Props that can't be used, and what the error says. */
const WRONG: [string, FlamePoolProps, string | RegExp][] = [
  ['a port', { port: 0 }, '`port` is 0: it must be a whole number from 1 to 65535'],
  [
    'a reserved variable',
    { environment: { FLAME_PARENT: 'x' } },
    '`environment` sets FLAME_PARENT',
  ],
  ['CPU units', { ecs: { cpu: 300 } }, '`ecs.cpu` is 300'],
  ['a size', { ecs: { memory: Size.gibibytes(1) } }, '`ecs.memory` is 1024 MiB'],
  [
    'a disk',
    { ecs: { ephemeralStorage: Size.gibibytes(20) } },
    '`ecs.ephemeralStorage` is 20480 MiB: it must be a whole number of MiB from 21504 to 204800',
  ],
  ['a stop timeout', { ecs: { stopTimeout: Duration.seconds(121) } }, '`ecs.stopTimeout` is 121 s'],
  ['a container name', { ecs: { containerName: 'app' } }, '`ecs.containerName` is set without'],
  ['code for ECS', { code, ecs: {} }, '`code` is a bootstrap zip, which ECS cannot run'],
  [
    'own code for ECS',
    { code: undefined, ecs: { code } },
    '`ecs.code` is a bootstrap zip, which ECS cannot run',
  ],
  ['code that nothing uses', { code, lambda: { code } }, '`code` is set, but each backend has'],
  [
    'code for Lambda',
    { ecs: {}, lambda: {} },
    '`code` is an image of a registry, which Lambda cannot run',
  ],
  [
    'own code for Lambda',
    { lambda: { code: ecsCode() } },
    '`lambda.code` is an image of a registry, which Lambda cannot run',
  ],
  [
    'a timeout beyond the limit',
    { lambda: { code, timeout: Duration.seconds(1_801) } },
    '`lambda.timeout` is 1801 s: it must be a whole number of seconds from 15 to 1800',
  ],
  [
    'a short timeout',
    { lambda: { code, timeout: Duration.seconds(14) } },
    '`lambda.timeout` is 14 s',
  ],
  ['memory', { lambda: { code, memory: Size.mebibytes(64) } }, '`lambda.memory` is 64 MiB'],
  [
    'a /tmp',
    { lambda: { code, ephemeralStorage: Size.gibibytes(11) } },
    '`lambda.ephemeralStorage` is 11264 MiB',
  ],
  [
    'a reserved concurrency',
    { lambda: { code, reservedConcurrency: 0 } },
    '`lambda.reservedConcurrency` is 0',
  ],
  ['an alias', { lambda: { code, aliasName: '7' } }, '`lambda.aliasName` is `7`'],
  ['alarms without names', { alarms: {} }, '`alarms` is set without `metrics`'],
  ['a dashboard without names', { dashboard: {} }, '`dashboard` is set without `metrics`'],
  [
    'an empty name of the app',
    { metrics: { ...metrics, app: ' ' } },
    '`metrics.app` is ` `: it must have 1 to 1024 printable ASCII characters',
  ],
  [
    'a name of the app that begins with a colon',
    { metrics: { ...metrics, app: ':app' } },
    '`metrics.app` is `:app`',
  ],
  [
    'a name of the pool that CloudWatch rejects',
    { metrics: { ...metrics, pool: 'Größe' } },
    /`metrics\.pool` is `Größe`: .*; the app sends `_` in place of any other character$/,
  ],
  [
    'a namespace of AWS',
    { metrics: { ...metrics, namespace: 'AWS/Flame' } },
    '`metrics.namespace` is `AWS/Flame`',
  ],
  [
    'a namespace that CloudWatch rejects',
    { metrics: { ...metrics, namespace: 'a,b' } },
    '`metrics.namespace` is `a,b`',
  ],
  [
    'a period of the metrics',
    { metrics: { ...metrics, period: Duration.millis(500) } },
    '`metrics.period` is 0.5 s: it must be a whole number of seconds from 1 to 3600',
  ],
  ...(
    ['bootFailures', 'orphans', 'throttledBoots', 'refusedClients', 'functionThrottles'] as const
  ).map((name): [string, FlamePoolProps, string] => [
    `${name} of 0`,
    { metrics, alarms: { [name]: 0 } },
    `\`alarms.${name}\` is 0: it must be a whole number from 1 to 1000000`,
  ]),
  [
    'more than the whole quota',
    { metrics, alarms: { vcpuQuota: 101 } },
    '`alarms.vcpuQuota` is 101: it must be a whole number from 1 to 100',
  ],
  [
    'no queue wait',
    { metrics, alarms: { queueWait: Duration.seconds(0) } },
    '`alarms.queueWait` is 0 s: it must be a whole number of seconds from 1 to 86400',
  ],
  [
    'a short time of stuck boots',
    { metrics, alarms: { stuckBoots: Duration.seconds(30) } },
    '`alarms.stuckBoots` is 30 s: it must be a whole number of seconds from 60 to 3600',
  ],
  [
    'a part of a minute of stuck boots',
    { metrics, alarms: { stuckBoots: Duration.seconds(90) } },
    '`alarms.stuckBoots` is 1 minute 30 seconds: it must be a number of whole minutes',
  ],
  [
    'subnets that the VPC does not have',
    { vpcSubnets: { subnetType: SubnetType.PUBLIC } },
    '`vpcSubnets` selects no subnet of the VPC: There are no',
  ],
  [
    'a shell in a container that cannot be written to',
    { ecs: { enableExecuteCommand: true, readonlyRootFilesystem: true } },
    '`ecs.enableExecuteCommand` and `ecs.readonlyRootFilesystem` are both true',
  ],
  ['no subnets', { vpcSubnets: { subnets: [] } }, '`vpcSubnets` selects'],
];

test.each(WRONG)(
  '%s that cannot be used fails with a message that names the prop',
  (...[, props, message]) => {
    expect(() => newPool(props)).toThrow(message);
  },
);

test('one error names the construct and all wrong props', () => {
  expect(() => newPool({ port: 0, ecs: { cpu: 300 } })).toThrow(
    /^FlamePool Test\/Pool can't be created: `port` .*; `ecs\.cpu` /,
  );
});

test('public subnets need public addresses, and are of no use for Lambda', () => {
  const stack = newStack();
  const vpc = new Vpc(stack, 'Public', { natGateways: 0 });
  const vpcSubnets = { subnetType: SubnetType.PUBLIC };
  const props = { vpc, vpcSubnets, ecs: { assignPublicIp: false }, lambda: { code } };
  expect(() => newPool(props, stack)).toThrow(
    /`ecs\.assignPublicIp` is false.*`lambda\.outsideVpc`/,
  );
});

test('a code store must not be a whole bucket', () => {
  const stack = newStack();
  const bucket = Bucket.fromBucketName(stack, 'Code', 'code-1');
  expect(() => newPool({ codeStore: { bucket, prefix: '/' } }, stack)).toThrow(
    '`codeStore.prefix`',
  );
});

test('a task definition of the user cannot be combined with options of a new one', () => {
  const create = (options: EcsRunnersOptions, essential?: boolean) => {
    const stack = newStack();
    const taskDefinition = new FargateTaskDefinition(stack, 'Own');
    if (essential !== undefined) {
      const image = ContainerImage.fromRegistry('app:1');
      taskDefinition.addContainer('first', { image, essential: true });
      taskDefinition.addContainer('app', { image, essential });
    }
    return newPool({ ecs: { ...options, taskDefinition } }, stack);
  };
  expect(() => create({})).toThrow('`ecs.taskDefinition` has no container');
  expect(() => create({ containerName: 'web' }, true)).toThrow('`ecs.containerName` is `web`');
  expect(() => create({ containerName: 'app' }, false)).toThrow('is not essential');
  expect(() => create({ cpu: 256, code: ecsCode() }, true)).toThrow(
    /`ecs\.code` and `ecs\.taskDefinition` are both set.*`ecs\.cpu` and `ecs\.taskDefinition`/,
  );
  expect(() => create({ containerName: 'app' }, true)).not.toThrow();
});

test('code that does not exist is rejected when it is named', () => {
  const image = ContainerImage.fromRegistry('runner:1');
  for (const path of [`${BOOTSTRAP}/missing`, '/missing.zip', __dirname]) {
    expect(() => RunnerCode.fromBootstrapZip(path)).toThrow('neither a zip file nor a folder');
  }
  expect(() => RunnerCode.generic({ executable: '/missing' })).toThrow('`executable` is /missing');
  expect(() => RunnerCode.generic({ executable: '/bin/sh', image })).toThrow('are both set');
});
