import { Duration, Size } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import {
  Cluster,
  ContainerImage,
  CpuArchitecture,
  FargateTaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { expect, test } from 'vitest';
import { RunnerCode } from '../src';
import {
  ACCOUNT,
  newPool,
  newStack,
  parentOf,
  REGION,
  RUNNER_IMAGE,
  vpcOf,
} from './support/stacks';
import { Deployed } from './support/template';

const TASK_DEFINITION = 'AWS::ECS::TaskDefinition';

test('by default a runner is a task of 1 vCPU and 2 GiB with a read-only root', () => {
  const { stack } = newPool({ environment: { LEVEL: 'high' } });
  const template = Template.fromStack(stack);
  template.hasResourceProperties(TASK_DEFINITION, {
    Cpu: '1024',
    Memory: '2048',
    NetworkMode: 'awsvpc',
    RequiresCompatibilities: ['FARGATE'],
    RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' },
    Volumes: [{ Name: 'tmp' }],
    ContainerDefinitions: [
      {
        Name: 'runner',
        Image: RUNNER_IMAGE,
        Essential: true,
        StopTimeout: 120,
        ReadonlyRootFilesystem: true,
        Environment: [{ Name: 'LEVEL', Value: 'high' }],
        MountPoints: [{ ContainerPath: '/tmp', ReadOnly: false, SourceVolume: 'tmp' }],
        LogConfiguration: {
          LogDriver: 'awslogs',
          Options: { mode: 'non-blocking', 'max-buffer-size': '26214400b' },
        },
      },
    ],
  });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  template.hasResourceProperties('AWS::ECS::Cluster', {
    CapacityProviders: ['FARGATE', 'FARGATE_SPOT'],
  });
  // The emulator of the tests rejects it.
  template.resourceCountIs('AWS::ECS::ClusterCapacityProviderAssociations', 0);
});

test('each option of a task reaches the task definition', () => {
  const { stack } = newPool({
    cpuArchitecture: CpuArchitecture.ARM64,
    logRetention: RetentionDays.ONE_WEEK,
    ecs: {
      cpu: 4_096,
      memory: Size.gibibytes(16),
      ephemeralStorage: Size.gibibytes(100),
      stopTimeout: Duration.seconds(60),
      readonlyRootFilesystem: false,
    },
  });
  const template = Template.fromStack(stack);
  template.hasResourceProperties(TASK_DEFINITION, {
    Cpu: '4096',
    Memory: '16384',
    EphemeralStorage: { SizeInGiB: 100 },
    RuntimePlatform: { CpuArchitecture: 'ARM64' },
    ContainerDefinitions: [{ StopTimeout: 60, ReadonlyRootFilesystem: false }],
  });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
});

test('a person can open a shell in a task if the app asks for it', () => {
  const shells = newPool({ ecs: { enableExecuteCommand: true } });
  const deployed = new Deployed(shells.stack);
  expect(deployed.statements('TaskRole')).toEqual([
    {
      Effect: 'Allow',
      Action: [
        'ssmmessages:CreateControlChannel',
        'ssmmessages:CreateDataChannel',
        'ssmmessages:OpenControlChannel',
        'ssmmessages:OpenDataChannel',
      ],
      Resource: '*',
    },
  ]);
  const [{ ReadonlyRootFilesystem }] = deployed.only(TASK_DEFINITION).ContainerDefinitions;
  expect(ReadonlyRootFilesystem).toBe(false);
  const settings = shells.pool.environmentForParent().FLAME_AWS ?? '';
  expect(JSON.parse(deployed.text(settings)).ecs.enableExecuteCommand).toBe(true);
});

test('a task has no permission, and only ECS in this account can assume its role', () => {
  const { stack } = newPool();
  const deployed = new Deployed(stack);
  expect(deployed.statements('TaskRole')).toEqual([]);
  const id = deployed.idOf('AWS::IAM::Role', 'TaskRole');
  expect(deployed.plain(deployed.resources[id]?.Properties.AssumeRolePolicyDocument)).toEqual({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Principal: { Service: 'ecs-tasks.amazonaws.com' },
        Condition: {
          StringEquals: { 'aws:SourceAccount': ACCOUNT },
          ArnLike: { 'aws:SourceArn': `arn:aws:ecs:${REGION}:${ACCOUNT}:*` },
        },
      },
    ],
  });
});

test('ECS may write the log of the tasks, and nothing else', () => {
  const { stack } = newPool();
  const deployed = new Deployed(stack);
  expect(deployed.statements('ExecutionRole')).toEqual([
    {
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: `${deployed.idOf('AWS::Logs::LogGroup')}.Arn`,
    },
  ]);
});

test('a task definition of the user is used as it is', () => {
  const stack = newStack();
  const taskDefinition = new FargateTaskDefinition(stack, 'App', { family: 'app' });
  const container = taskDefinition.addContainer('web', {
    image: ContainerImage.fromRegistry('app:1'),
  });
  const { pool } = newPool({ code: undefined, ecs: { taskDefinition } }, stack);
  // A parent may be a task of the same definition: its environment must not refer to that
  // definition.
  for (const [name, value] of Object.entries(pool.environmentForParent())) {
    container.addEnvironment(name, value);
  }
  pool.grantParent(taskDefinition.taskRole);
  pool.grantParent(parentOf(stack));
  const deployed = new Deployed(stack);
  const [{ Name, Environment }] = deployed.only(TASK_DEFINITION).ContainerDefinitions;
  expect(Name).toBe('web');
  const { ecs } = JSON.parse(Environment[0].Value);
  expect(ecs).toMatchObject({ taskDefinition: 'app', container: 'web' });
  expect(pool.taskDefinition).toBe(taskDefinition);
  expect(deployed.statements('Parent').at(0)?.Resource).toContain(':task-definition/app:*');
});

test('a cluster of the user is used with its own VPC', () => {
  const stack = newStack();
  const cluster = Cluster.fromClusterAttributes(stack, 'Own', {
    clusterName: 'main',
    vpc: vpcOf(stack),
  });
  const { pool } = newPool({ vpc: undefined, ecs: { cluster } }, stack);
  const deployed = new Deployed(stack);
  expect(deployed.all('AWS::ECS::Cluster')).toEqual([]);
  expect(deployed.all('AWS::EC2::VPC')).toEqual([]);
  const { ecs } = JSON.parse(deployed.text(pool.environmentForParent().FLAME_AWS ?? ''));
  expect(ecs.cluster).toBe(`arn:aws:ecs:${REGION}:${ACCOUNT}:cluster/main`);
  expect(pool.cluster).toBe(cluster);
});

test('without a VPC the pool makes one, and tasks get private addresses only', () => {
  const { stack, pool } = newPool({ vpc: undefined });
  const deployed = new Deployed(stack);
  const { ecs } = JSON.parse(deployed.text(pool.environmentForParent().FLAME_AWS ?? ''));
  expect(deployed.all('AWS::EC2::VPC').length).toBe(1);
  expect(deployed.all('AWS::EC2::NatGateway').length).toBe(1);
  expect(ecs.assignPublicIp).toBe(false);
  expect(ecs.subnets.length).toBe(2);
});

test('an executable becomes an image of its own', () => {
  const executable = `${__dirname}/support/bootstrap/bootstrap`;
  const { stack } = newPool({ code: RunnerCode.generic({ executable }) });
  const [{ Image }] = new Deployed(stack).only(TASK_DEFINITION).ContainerDefinitions;
  expect(JSON.stringify(Image)).toContain('cdk-hnb659fds-container-assets-');
});
