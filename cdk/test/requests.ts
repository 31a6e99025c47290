/**
 * Every request to AWS that the library makes in a parent, taken from the SDK calls in the Rust
 * sources. The tests check that a parent's policy allows exactly these.
 */

import { ACCOUNT, REGION } from './support/stacks';

/** The names that a deployed pool gives to its parent, read from FLAME_AWS and the template. */
export interface DeployedPool {
  readonly clusterArn: string;
  readonly clusterName: string;
  readonly taskDefinitionArn: string;
  readonly roleArns: string[];
  /** The name of the log group of the tasks. */
  readonly logGroup?: string;
  /** The cluster of the parent, if it is another one. */
  readonly parentClusterName?: string;
  readonly functionArn?: string;
  readonly aliasArn?: string;
  /** `BUCKET/PREFIX`. */
  readonly codeStore?: string;
}

/** A request, as IAM sees it. */
export interface Request {
  /** The permission that it needs. */
  readonly action: string;
  /** The SDK's method, or the parameter of another request that needs the permission. */
  readonly sdk: string;
  readonly resources: string[];
  readonly context?: { [key: string]: string };
}

/** The id of a task. */
const TASK = '0123456789abcdef0123456789abcdef';

/** The ARN of a task in a cluster. */
export function taskIn(clusterName: string): string {
  return `arn:aws:ecs:${REGION}:${ACCOUNT}:task/${clusterName}/${TASK}`;
}

/** The requests of the ECS backend: `api.rs` and `log_tail.rs` in `control/src/backend/ecs/`. */
export function ecsRequests(pool: DeployedPool): Request[] {
  const tasks = [taskIn(pool.clusterName)];
  const inCluster = { 'ecs:cluster': pool.clusterArn };
  const requests: Request[] = [
    {
      action: 'ecs:RunTask',
      sdk: 'run_task',
      resources: [pool.taskDefinitionArn],
      context: inCluster,
    },
    {
      action: 'ecs:TagResource',
      sdk: 'set_tags',
      resources: tasks,
      context: { 'ecs:CreateAction': 'RunTask' },
    },
    {
      action: 'iam:PassRole',
      sdk: 'task_definition',
      resources: pool.roleArns,
      context: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    },
    { action: 'ecs:StopTask', sdk: 'stop_task', resources: tasks, context: inCluster },
    { action: 'ecs:DescribeTasks', sdk: 'describe_tasks', resources: tasks, context: inCluster },
    { action: 'ecs:ListTasks', sdk: 'list_tasks', resources: ['*'], context: inCluster },
    { action: 'ecs:DescribeClusters', sdk: 'describe_clusters', resources: [pool.clusterArn] },
    {
      action: 'ecs:DescribeTaskDefinition',
      sdk: 'describe_task_definition',
      resources: ['*'],
    },
  ];
  if (pool.logGroup !== undefined) {
    const logs = `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:${pool.logGroup}`;
    const resources = [`${logs}:log-stream:runner/runner/${TASK}`];
    requests.push({ action: 'logs:GetLogEvents', sdk: 'get_log_events', resources });
  }
  if (pool.parentClusterName !== undefined) {
    const parents = [taskIn(pool.parentClusterName)];
    requests.push({ action: 'ecs:DescribeTasks', sdk: 'describe_tasks', resources: parents });
  }
  return requests;
}

/** The requests of a reaper: `control/src/backend/ecs/orphan_search.rs` and `reaper.rs`. */
export function reaperRequests(
  clusterArn: string,
  clusterName: string,
  parentClusterNames: string[],
): Request[] {
  const tasks = [taskIn(clusterName)];
  const context = { 'ecs:cluster': clusterArn };
  const parents = parentClusterNames.map(taskIn);
  return [
    { action: 'ecs:ListTasks', sdk: 'list_tasks', resources: ['*'], context },
    { action: 'ecs:DescribeTasks', sdk: 'describe_tasks', resources: tasks, context },
    { action: 'ecs:StopTask', sdk: 'stop_task', resources: tasks, context },
    { action: 'ecs:DescribeTasks', sdk: 'describe_tasks', resources: parents },
  ];
}

/** The requests of the Lambda backend: `control/src/backend/lambda/client.rs`. */
export function lambdaRequests(pool: DeployedPool, events: boolean): Request[] {
  const resources = [pool.functionArn ?? '', ...(pool.aliasArn ? [pool.aliasArn] : [])];
  const requests = [
    { action: 'lambda:InvokeFunction', sdk: 'invoke', resources },
    {
      action: 'lambda:GetFunctionConfiguration',
      sdk: 'get_function_configuration',
      resources,
    },
  ];
  if (events) {
    const sdk = 'get_function_event_invoke_config';
    requests.push({ action: 'lambda:GetFunctionEventInvokeConfig', sdk, resources });
  }
  return requests;
}

/**
 * The requests of the code store. HeadObject needs the permission for GetObject, and so does the
 * request of a runner, which its parent signs.
 */
export function codeStoreRequests(pool: DeployedPool): Request[] {
  const resources = [`arn:aws:s3:::${pool.codeStore}/sha256-of-an-executable`];
  return [
    { action: 's3:PutObject', sdk: 'put_object', resources },
    { action: 's3:GetObject', sdk: 'get_object', resources },
    { action: 's3:GetObject', sdk: 'head_object', resources },
  ];
}

/** The request with which a parent sends its metrics. */
export function metricsRequests(namespace: string): Request[] {
  const context = { 'cloudwatch:namespace': namespace };
  const action = 'cloudwatch:PutMetricData';
  return [{ action, sdk: 'put_metric_data', resources: ['*'], context }];
}
