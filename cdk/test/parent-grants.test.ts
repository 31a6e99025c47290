import { ContainerImage, FargateTaskDefinition, LogDrivers, Secret } from 'aws-cdk-lib/aws-ecs';
import { Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Secret as SecretOfSplunk } from 'aws-cdk-lib/aws-secretsmanager';
import { expect, test } from 'vitest';
import { type PoolMetricsOptions, RunnerInvocation } from '../src';
import {
  ACCOUNT,
  lambdaCode,
  newPool,
  newStack,
  parentOf,
  parentsCluster,
  REGION,
  RUNNER_IMAGE,
} from './support/stacks';
import { Deployed } from './support/template';

const ECS = `arn:aws:ecs:${REGION}:${ACCOUNT}`;
const LOGS = `arn:aws:logs:${REGION}:${ACCOUNT}`;

test('a parent of ECS gets the statements on the page of the backend, and no other', () => {
  const { stack, pool } = newPool({ ecs: {} });
  const cluster = parentsCluster(stack);
  pool.grantParent(parentOf(stack), { cluster });
  const deployed = new Deployed(stack);
  const clusterId = deployed.idOf('AWS::ECS::Cluster');
  const clusterArn = deployed.arnOf('AWS::ECS::Cluster');
  const family = deployed.only('AWS::ECS::TaskDefinition').Family;
  const role = (name: string) => deployed.arnOf('AWS::IAM::Role', name);
  expect(deployed.statements('Parent')).toEqual([
    {
      Effect: 'Allow',
      Action: 'ecs:RunTask',
      Resource: `${ECS}:task-definition/${family}:*`,
      Condition: { ArnEquals: { 'ecs:cluster': clusterArn } },
    },
    {
      Effect: 'Allow',
      Action: ['ecs:StopTask', 'ecs:DescribeTasks'],
      Resource: `${ECS}:task/${clusterId}/*`,
    },
    {
      Effect: 'Allow',
      Action: 'ecs:ListTasks',
      Resource: '*',
      Condition: { ArnEquals: { 'ecs:cluster': clusterArn } },
    },
    {
      Effect: 'Allow',
      Action: 'ecs:TagResource',
      Resource: `${ECS}:task/${clusterId}/*`,
      Condition: { StringEquals: { 'ecs:CreateAction': 'RunTask' } },
    },
    {
      Effect: 'Allow',
      Action: 'iam:PassRole',
      Resource: [role('TaskRole'), role('ExecutionRole')],
      Condition: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
    },
    { Effect: 'Allow', Action: 'ecs:DescribeClusters', Resource: clusterArn },
    { Effect: 'Allow', Action: 'ecs:DescribeTaskDefinition', Resource: '*' },
    {
      Effect: 'Allow',
      Action: 'logs:GetLogEvents',
      Resource: `${LOGS}:log-group:${deployed.idOf('AWS::Logs::LogGroup')}:log-stream:runner/runner/*`,
    },
    { Effect: 'Allow', Action: 'ecs:DescribeTasks', Resource: `${ECS}:task/parents/*` },
  ]);
});

test('a parent reads no log of tasks that do not log to CloudWatch Logs', () => {
  const stack = newStack();
  const taskDefinition = new FargateTaskDefinition(stack, 'Own');
  const image = ContainerImage.fromRegistry(RUNNER_IMAGE);
  const logging = LogDrivers.splunk({
    secretToken: Secret.fromSecretsManager(new SecretOfSplunk(stack, 'Token')),
    url: 'https://splunk.example.com',
  });
  taskDefinition.addContainer('app', { image, logging });
  const { pool } = newPool({ ecs: { taskDefinition } }, stack);
  pool.grantParent(parentOf(stack));
  const actions = new Deployed(stack).statements('Parent').flatMap(({ Action }) => Action);
  expect(actions).not.toContain('logs:GetLogEvents');
});

test('a parent of Lambda may invoke the alias and the function, and read their configuration', () => {
  const { stack, pool } = newPool({
    lambda: { code: lambdaCode(), aliasName: 'live', invocation: RunnerInvocation.EVENT },
  });
  pool.grantParent(parentOf(stack));
  const deployed = new Deployed(stack);
  const arn = deployed.arnOf('AWS::Lambda::Function');
  expect(deployed.statements('Parent')).toEqual([
    {
      Effect: 'Allow',
      Action: [
        'lambda:InvokeFunction',
        'lambda:GetFunctionConfiguration',
        'lambda:GetFunctionEventInvokeConfig',
      ],
      Resource: [arn, `${arn}:live`],
    },
  ]);
});

test('a parent with a code store may read and write below its prefix', () => {
  const stack = newStack();
  const bucket = Bucket.fromBucketName(stack, 'Code', 'code-1');
  const codeStore = { bucket, prefix: '/apps/thumbs/' };
  const { pool } = newPool({ lambda: { code: lambdaCode() }, codeStore }, stack);
  pool.grantParent(parentOf(stack));
  expect(new Deployed(stack).statements('Parent').at(-1)).toEqual({
    Effect: 'Allow',
    Action: ['s3:PutObject', 's3:GetObject'],
    Resource: 'arn:aws:s3:::code-1/apps/thumbs/*',
  });
});

test('a parent may use the key of an encrypted code store', () => {
  const stack = newStack();
  const bucket = new Bucket(stack, 'Code', { encryption: BucketEncryption.KMS });
  const { pool } = newPool({ lambda: { code: lambdaCode() }, codeStore: { bucket } }, stack);
  pool.grantParent(parentOf(stack));
  const deployed = new Deployed(stack);
  expect(deployed.statements('Parent').slice(-2)).toEqual([
    {
      Effect: 'Allow',
      Action: ['s3:PutObject', 's3:GetObject'],
      Resource: `${deployed.arnOf('AWS::S3::Bucket')}/flame-code/*`,
    },
    {
      Effect: 'Allow',
      Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
      Resource: `${deployed.idOf('AWS::KMS::Key')}.Arn`,
    },
  ]);
});

test('a parent may send metrics in the namespace of the pool, unless they are in its log', () => {
  const metrics = { app: 'my-app', pool: 'thumbs' };
  const statements = (more: Partial<PoolMetricsOptions>) => {
    const props = { lambda: { code: lambdaCode() }, metrics: { ...metrics, ...more } };
    const { stack, pool } = newPool(props);
    pool.grantParent(parentOf(stack));
    return new Deployed(stack).statements('Parent').slice(1);
  };
  const allowed = (namespace: string) => ({
    Effect: 'Allow',
    Action: 'cloudwatch:PutMetricData',
    Resource: '*',
    Condition: { StringEquals: { 'cloudwatch:namespace': namespace } },
  });
  expect(statements({})).toEqual([allowed('Flame')]);
  expect(statements({ namespace: 'Media' })).toEqual([allowed('Media')]);
  expect(statements({ emf: true })).toEqual([]);
});
