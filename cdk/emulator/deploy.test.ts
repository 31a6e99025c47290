// Deploys the examples into the emulator, and makes calls with what the stacks say.
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { built } from './built';
import { TRUST } from './certificate';
import { Deployment, type Environment, HANGS } from './deployment';
import type { Emulator } from './emulator';
import { LAMBDA_PARENT, LAPTOP, SERVICE } from './examples';
import { isFree } from './ports';
import type { Finished } from './run';
import { until } from './until';

let deployment: Deployment;
let emulator: Emulator;

beforeAll(async () => {
  deployment = await Deployment.start();
  emulator = deployment.emulator;
});

afterAll(async () => {
  await deployment?.stop();
});

test('the deployed service makes its calls on Fargate and on Lambda', async () => {
  const cluster = deployment.output(SERVICE, 'ClusterName');
  const serviceName = deployment.output(SERVICE, 'ServiceName');
  const query = { cluster, serviceName, desiredStatus: 'STOPPED' };
  const task = await until<string>(async () => {
    return (await emulator.call('ecs', 'ListTasks', query)).taskArns[0];
  }, 'the service to exit');
  const log = emulator.logOf(task);
  const described = await emulator.call('ecs', 'DescribeTasks', { cluster, tasks: [task] });
  expect(described.tasks[0].containers[0].exitCode, log).toBe(0);
  const { Invoke, RunTask } = await emulator.calls();
  expect(Invoke).toBeGreaterThan(0);
  expect(RunTask).toBeGreaterThan(0);
});

test.for(['ecs', 'lambda'])('a parent outside of AWS makes calls on %s', async (backend) => {
  const environment = await deployment.environmentOfService();
  madeCalls(
    await deployment.thumbnails(environment, '--backend', backend, '--listen', '127.0.0.1:0'),
  );
});

test('a laptop makes calls on Fargate through the relay, with generic runners', async () => {
  await callsFromLaptop(await deployment.environmentOfLaptop());
});

test('a laptop makes calls on Lambda through the relay', async () => {
  const { FLAME_AWS } = await deployment.environmentOfService();
  const environment = {
    ...(await deployment.environmentOfLaptop()),
    FLAME_AWS: FLAME_AWS as string,
  };
  madeCalls(await deployment.thumbnails(environment, '--backend', 'lambda'));
});

test('the load balancer of a relay publishes neither its metrics nor its page', async () => {
  const [port] = deployment.ports;
  expect(await statusOfPath(port, '/readyz')).toBe(200);
  for (const path of ['/metrics', '/', '/view.json']) {
    expect(await statusOfPath(port, path), path).toBe(404);
  }
});

test('a parent in a Lambda function makes calls on Lambda through the relay in its VPC', async () => {
  const { Invoke: before = 0 } = await emulator.calls();
  const { status, output } = await emulator.invoke(deployment.output(LAMBDA_PARENT, 'ParentName'), {
    program: built('examples/thumbnails'),
    args: [...deployment.thumbnailsArguments, '--backend', 'lambda'],
    env: TRUST,
  });
  madeCalls({ code: status, output });
  // The parent's own invocation, and those of its runners.
  const { Invoke: after = 0 } = await emulator.calls();
  expect(after - before).toBeGreaterThan(1);
});

test('a rotated key is used at once, and each key is valid until the second rotation after it', async () => {
  const first = await deployment.environmentOfLaptop();
  const second = await rotateKey();
  await callsFromLaptop(second);
  await callsFromLaptop(first);
  const third = await rotateKey();
  await callsFromLaptop(third);
  await callsFromLaptop(second);
  const { code, output } = await deployment.thumbnails(first, '--backend', 'ecs', '--code-sync');
  expect(code).not.toBe(0);
  expect(output).toContain('FLAME_RELAY_KEY');
});

test('the schedule invokes the reaper, which stops an orphan and no other task', async () => {
  const reaper = deployment.output(SERVICE, 'ReaperName');
  const cluster = deployment.output(SERVICE, 'ClusterName');
  const [orphan, other] = await Promise.all([
    hangingTask(cluster, {
      'flame:pool': 'gone',
      'flame:runner': 'f-0',
      'flame:parent': 'p-0',
      'flame:ends-by': '1',
    }),
    hangingTask(cluster, {}),
  ]);
  // The test does not wait until the task is ten minutes old.
  const variables = await emulator.variables(reaper);
  const impatient = { FLAME_REAPER_MIN_AGE_SECONDS: '0', FLAME_REAPER_PAUSE_SECONDS: '1' };
  await emulator.setVariables(reaper, { ...variables, ...impatient });
  const { Rules } = await emulator.call('events', 'ListRules');
  const [{ Name, ScheduleExpression }, ...others] = Rules;
  expect([ScheduleExpression, others]).toEqual(['rate(15 minutes)', []]);
  await emulator.call('events', 'PutRule', { Name, ScheduleExpression: 'rate(1 minute)' });
  await until(async () => (await statusOf(cluster, orphan)) === 'STOPPED', 'the reaper');
  expect(await statusOf(cluster, other)).toBe('RUNNING');
  expect(await emulator.invoke(reaper, {})).toEqual({
    tasks: 1,
    orphans: 0,
    stopped: 0,
    incomplete: false,
  });
  await emulator.call('ecs', 'StopTask', { cluster, task: other });
});

test('cdk destroy leaves nothing but the logs that the stacks retain', async () => {
  await deployment.cdk('destroy', '--all', '--force');
  await until(async () => {
    const { containers, environments } = await emulator.running();
    return containers.length + environments.length === 0;
  }, 'all processes to exit');
  expect(await emulator.stacks()).toEqual(['CDKToolkit']);
  expect((await emulator.call('ecs', 'ListClusters')).clusterArns).toEqual([]);
  expect(await emulator.functions()).toEqual([]);
  expect((await emulator.call('events', 'ListRules')).Rules).toEqual([]);
  expect((await emulator.call('secretsmanager', 'ListSecrets')).SecretList).toEqual([]);
  const { logGroups } = await emulator.call('logs', 'DescribeLogGroups');
  const names: string[] = logGroups.map(({ logGroupName }: Environment) => logGroupName);
  expect(names.filter((name) => !/\/(VpcFlowLogLogGroup|Log)[0-9A-F]{8}$/.test(name))).toEqual([]);
  // The load balancers no longer listen.
  expect(await Promise.all(deployment.ports.map(isFree))).toEqual([true, true, true]);
});

/** The HTTP status of a path at the load balancer of a relay. */
function statusOfPath(port: number | undefined, path: string): Promise<number | undefined> {
  const ca = readFileSync(TRUST.SSL_CERT_FILE);
  return new Promise((answered, failed) => {
    const options = { host: '127.0.0.1', port, path, ca };
    get(options, (answer) => answered(answer.resume().statusCode)).on('error', failed);
  });
}

/** Checks that a parent has made its calls. */
function madeCalls({ code, output }: Finished): void {
  expect(code, output).toBe(0);
  expect(output).toContain('6 calls');
}

/** Makes calls on Fargate with generic runners. */
async function callsFromLaptop(environment: Environment): Promise<void> {
  madeCalls(await deployment.thumbnails(environment, '--backend', 'ecs', '--code-sync'));
}

/** Replaces the key of the laptops' relay. Returns the variables of a parent with the new key. */
async function rotateKey(): Promise<Environment> {
  const SecretId = deployment.output(LAPTOP, 'RelayKey');
  const before = await deployment.secret(SecretId);
  await emulator.call('secretsmanager', 'RotateSecret', { SecretId });
  await until(async () => (await deployment.secret(SecretId)) !== before, 'the new key');
  return deployment.environmentOfLaptop();
}

/** Starts a task that hangs, with these tags. Returns its ARN. */
async function hangingTask(cluster: string, tags: Environment): Promise<string> {
  const { taskDefinition } = await emulator.call('ecs', 'RegisterTaskDefinition', {
    family: 'hangs',
    networkMode: 'awsvpc',
    requiresCompatibilities: ['FARGATE'],
    cpu: '256',
    memory: '512',
    containerDefinitions: [{ name: 'hangs', image: HANGS }],
  });
  const { tasks } = await emulator.call('ecs', 'RunTask', {
    cluster,
    taskDefinition: taskDefinition.taskDefinitionArn,
    launchType: 'FARGATE',
    networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } },
    tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
  });
  return tasks[0].taskArn;
}

async function statusOf(cluster: string, task: string): Promise<string> {
  const { tasks } = await emulator.call('ecs', 'DescribeTasks', { cluster, tasks: [task] });
  return tasks[0].lastStatus;
}
