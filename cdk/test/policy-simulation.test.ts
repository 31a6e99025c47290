import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { beforeAll, describe, expect, test } from 'vitest';
import { RunnerInvocation } from '../src';
import {
  codeStoreRequests,
  type DeployedPool,
  ecsRequests,
  lambdaRequests,
  metricsRequests,
  type Request,
  taskIn,
} from './requests';
import { allows, denied, lesserPolicies } from './support/simulate';
import {
  ACCOUNT,
  lambdaCode,
  newPool,
  newStack,
  parentOf,
  parentsCluster,
  REGION,
} from './support/stacks';
import { Deployed, type Statement } from './support/template';

const SOURCES = join(__dirname, '..', '..', 'control', 'src');

let policy: Statement[];
let requests: Request[];
let deployedPool: DeployedPool;

/** The texts of the Rust sources of the library. */
function rustSources(): string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.rs'));
  return sources.map((file) => readFileSync(join(SOURCES, file), 'utf8'));
}

// A feature flag of CDK merges statements, and new projects have it.
describe.each([false, true])('with minimizePolicies %s', (minimize) => {
  beforeAll(() => {
    const stack = newStack({ '@aws-cdk/aws-iam:minimizePolicies': minimize });
    const bucket = Bucket.fromBucketName(stack, 'Code', 'code-1');
    const props = {
      ecs: {},
      lambda: { code: lambdaCode(), aliasName: 'live', invocation: RunnerInvocation.EVENT },
      codeStore: { bucket, prefix: 'thumbs' },
      metrics: { app: 'my-app', pool: 'thumbs' },
    };
    const { pool } = newPool(props, stack);
    const cluster = parentsCluster(stack);
    pool.grantParent(parentOf(stack), { cluster });
    const deployed = new Deployed(stack);
    policy = deployed.statements('Parent');
    // The library takes all names from FLAME_AWS.
    const { ecs, lambda } = JSON.parse(deployed.text(pool.environmentForParent().FLAME_AWS ?? ''));
    const taskDefinition = deployed.only('AWS::ECS::TaskDefinition');
    deployedPool = {
      clusterArn: ecs.cluster,
      clusterName: ecs.cluster.split('/')[1],
      taskDefinitionArn: ecs.taskDefinition,
      roleArns: [taskDefinition.TaskRoleArn, taskDefinition.ExecutionRoleArn],
      logGroup: taskDefinition.ContainerDefinitions[0].LogConfiguration.Options['awslogs-group'],
      parentClusterName: 'parents',
      functionArn: lambda.function,
      aliasArn: `${lambda.function}:${lambda.qualifier}`,
      codeStore: 'code-1/thumbs',
    };
    requests = [
      ...ecsRequests(deployedPool),
      ...lambdaRequests(deployedPool, true),
      ...codeStoreRequests(deployedPool),
      ...metricsRequests('Flame'),
    ];
  });

  test('the policy of a parent allows every request of the library', async () => {
    expect(await denied(policy, requests)).toEqual([]);
  });

  test('without any one action the policy allows too little', async () => {
    for (const { missing, index, statements } of lesserPolicies(policy, 'Action')) {
      const found = await denied(statements, requests);
      expect(found, `without ${missing} in statement ${index}`).not.toEqual([]);
      expect(found.every((request) => request.startsWith(`${missing} on `))).toBe(true);
    }
  });

  test('without any one resource the policy allows too little', async () => {
    for (const { missing, index, statements } of lesserPolicies(policy, 'Resource')) {
      const found = await denied(statements, requests);
      expect(found, `without ${missing} in statement ${index}`).not.toEqual([]);
    }
  });

  test('the policy allows nothing beyond the requests of the library', async () => {
    const { clusterArn, taskDefinitionArn, roleArns, functionArn } = deployedPool;
    const ecs = `arn:aws:ecs:${REGION}:${ACCOUNT}`;
    const task = taskIn(deployedPool.clusterName);
    const role = roleArns[0] ?? '';
    const inCluster = { 'ecs:cluster': clusterArn };
    const inOther = { 'ecs:cluster': `${ecs}:cluster/other` };
    const toEcs = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };
    const beyond: [string, string, { [key: string]: string }?][] = [
      ['ecs:RunTask', `${ecs}:task-definition/other:1`, inCluster],
      ['ecs:RunTask', taskDefinitionArn, inOther],
      ['ecs:RunTask', taskDefinitionArn],
      ['ecs:StopTask', taskIn('other')],
      ['ecs:StopTask', taskIn('parents')],
      ['ecs:DescribeTasks', taskIn('other')],
      ['ecs:ListTasks', '*', inOther],
      ['ecs:ListTasks', '*'],
      ['ecs:TagResource', task, { 'ecs:CreateAction': 'CreateService' }],
      ['ecs:TagResource', task],
      ['ecs:UntagResource', task],
      ['ecs:ExecuteCommand', task],
      ['ecs:DescribeClusters', `${ecs}:cluster/other`],
      ['ecs:RegisterTaskDefinition', '*'],
      ['ecs:DeregisterTaskDefinition', '*'],
      ['ecs:UpdateService', `${ecs}:service/${deployedPool.clusterName}/service`],
      ['iam:PassRole', role, { 'iam:PassedToService': 'lambda.amazonaws.com' }],
      ['iam:PassRole', role],
      ['iam:PassRole', `arn:aws:iam::${ACCOUNT}:role/admin`, toEcs],
      ['sts:AssumeRole', role],
      ['lambda:InvokeFunction', `arn:aws:lambda:${REGION}:${ACCOUNT}:function:other`],
      ['lambda:InvokeFunction', `${functionArn}:other`],
      ['lambda:UpdateFunctionCode', functionArn ?? ''],
      ['lambda:UpdateFunctionConfiguration', functionArn ?? ''],
      ['s3:GetObject', 'arn:aws:s3:::code-1/another-app/sha256'],
      ['s3:PutObject', 'arn:aws:s3:::code-1/thumbs-2/sha256'],
      ['s3:DeleteObject', 'arn:aws:s3:::code-1/thumbs/sha256'],
      ['s3:ListBucket', 'arn:aws:s3:::code-1'],
      ['cloudwatch:PutMetricData', '*', { 'cloudwatch:namespace': 'AWS/ECS' }],
      ['cloudwatch:PutMetricData', '*'],
      ['cloudwatch:GetMetricData', '*'],
      ['logs:GetLogEvents', `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:any:log-stream:any`],
      ['logs:PutLogEvents', `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:any:log-stream:any`],
    ];
    for (const [action, resource, context] of beyond) {
      const isAllowed = await allows(policy, action, resource, context);
      expect(isAllowed, `${action} on ${resource} with ${JSON.stringify(context)}`).toBe(false);
    }
  });

  test('the table has every request of the Rust sources', () => {
    const sources = rustSources().filter((source) => source.includes('aws_sdk_'));
    const calls = sources.flatMap((source) => [
      ...source.matchAll(/self\s*\.(?:client|sdk|0)\s*\.(\w+)\(\)/g),
    ]);
    const made = new Set(
      calls
        .map(([, method]) => method)
        .filter((method) => !['config', 'clone'].includes(method ?? '')),
    );
    const listed = new Set(requests.map(({ sdk }) => sdk));
    expect(made.size).toBeGreaterThanOrEqual(9);
    expect([...made].filter((method) => !listed.has(method ?? ''))).toEqual([]);
  });

  test('the errors of the library name every action', () => {
    const texts = rustSources().join('\n');
    const unnamed = requests.filter(({ action }) => !texts.includes(`"${action}`));
    expect(unnamed.map(({ action }) => action)).toEqual([]);
  });
});
