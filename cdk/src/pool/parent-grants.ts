import { Stack } from 'aws-cdk-lib';
import type { ICluster } from 'aws-cdk-lib/aws-ecs';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';
import type { PoolMetricsOptions } from '../metrics/options';
import { DEFAULT_NAMESPACE } from '../metrics/series';
import { type CodeStore, codeStorePrefix } from './code-store';
import type { EcsRunners } from './ecs-runners';
import type { LambdaRunners } from './lambda-runners';

/** A statement of a parent's policy. */
export interface Statement {
  readonly actions: string[];
  readonly resources: string[];
  readonly conditions?: { [operator: string]: { [key: string]: string } };
}

/** Gives a parent the statements. */
export function grantStatements(grantee: IGrantable, statements: Statement[]): Grant {
  const grants = statements.map(({ actions, resources, conditions }) =>
    Grant.addToPrincipal({
      grantee,
      actions,
      resourceArns: resources,
      conditions: conditions as Record<string, Record<string, unknown>> | undefined,
    }),
  );
  return grants.reduce((all, grant) => all.combine(grant));
}

/** The ARN of all tasks of a cluster. */
export function tasksOf(scope: IConstruct, cluster: ICluster): string {
  const resourceName = `${cluster.clusterName}/*`;
  return Stack.of(scope).formatArn({ service: 'ecs', resource: 'task', resourceName });
}

/** The condition that limits a statement to a cluster. */
export function inCluster(cluster: ICluster): Statement['conditions'] {
  return { ArnEquals: { 'ecs:cluster': cluster.clusterArn } };
}

/**
 * The statements on the page of the ECS backend, `control/src/backend/ecs/README.md`.
 * `parentCluster` is the cluster of the parent, if the parent is an ECS task.
 */
export function ecsStatements(runners: EcsRunners, parentCluster?: ICluster): Statement[] {
  const { cluster } = runners;
  const tasks = tasksOf(runners, cluster);
  const conditions = inCluster(cluster);
  const revisions = Stack.of(runners).formatArn({
    service: 'ecs',
    resource: 'task-definition',
    resourceName: `${runners.taskDefinition.family}:*`,
  });
  const statements: Statement[] = [
    { actions: ['ecs:RunTask'], resources: [revisions], conditions },
    { actions: ['ecs:StopTask', 'ecs:DescribeTasks'], resources: [tasks] },
    { actions: ['ecs:ListTasks'], resources: ['*'], conditions },
    {
      actions: ['ecs:TagResource'],
      resources: [tasks],
      conditions: { StringEquals: { 'ecs:CreateAction': 'RunTask' } },
    },
    {
      actions: ['iam:PassRole'],
      resources: runners.roles.map((role) => role.roleArn),
      conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
    },
    { actions: ['ecs:DescribeClusters'], resources: [cluster.clusterArn] },
    { actions: ['ecs:DescribeTaskDefinition'], resources: ['*'] },
  ];
  const logs = runners.logStreams;
  if (logs !== undefined) {
    statements.push({ actions: ['logs:GetLogEvents'], resources: [logs] });
  }
  if (parentCluster && parentCluster !== cluster) {
    const parents = tasksOf(runners, parentCluster);
    statements.push({ actions: ['ecs:DescribeTasks'], resources: [parents] });
  }
  return statements;
}

/** The statement on the page of the Lambda backend, `control/src/backend/lambda/README.md`. */
export function lambdaStatements(runners: LambdaRunners): Statement[] {
  const { function: fn, alias } = runners;
  const actions = ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'];
  if (runners.usesEvents) {
    actions.push('lambda:GetFunctionEventInvokeConfig');
  }
  const resources = [fn.functionArn, ...(alias ? [alias.functionArn] : [])];
  return [{ actions, resources }];
}

/** What a parent needs to put its executable into the code store, and to sign URLs for runners. */
export function codeStoreStatements(store: CodeStore): Statement[] {
  const objects = store.bucket.arnForObjects(`${codeStorePrefix(store)}/*`);
  const statements = [{ actions: ['s3:PutObject', 's3:GetObject'], resources: [objects] }];
  const key = store.bucket.encryptionKey;
  if (key) {
    const actions = ['kms:GenerateDataKey', 'kms:Decrypt'];
    statements.push({ actions, resources: [key.keyArn] });
  }
  return statements;
}

/** What a parent needs to send its metrics to CloudWatch, unless they are in its log. */
export function metricsStatements({ namespace, emf }: PoolMetricsOptions): Statement[] {
  const conditions = {
    StringEquals: { 'cloudwatch:namespace': namespace ?? DEFAULT_NAMESPACE },
  };
  const send = { actions: ['cloudwatch:PutMetricData'], resources: ['*'], conditions };
  return emf ? [] : [send];
}
