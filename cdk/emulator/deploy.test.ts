// Deploys the examples into the emulator, and makes calls with what the stacks say.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACCOUNT, Emulator, inEcr, REGION } from './emulator';
import { LAPTOP, SERVICE, synthesize } from './examples';
import { flatPicture } from './picture';
import { succeed } from './run';

const REPOSITORY = join(__dirname, '..', '..');
/** Where cargo has built the programs of the images. */
const BUILT = join(process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target'), 'debug');
const THUMBNAILS = join(BUILT, 'examples', 'thumbnails');
const PATIENCE_MS = 300_000;
const PEM = join(REPOSITORY, 'localstack', 'emulator', 'tests');
const CERTIFICATE = join(PEM, 'certificate.pem');
const CDK = join(__dirname, '..', 'node_modules', '.bin', 'cdk');

type Environment = { [name: string]: string };
type Outputs = { [stack: string]: Environment };

/** Has the files of this test. */
const FOLDER = mkdtempSync(join(tmpdir(), 'flame-cdk-'));
const PHOTO = join(FOLDER, 'flat.png');

let emulator: Emulator;
let relayPort: number;
let outputs: Outputs;

beforeAll(async () => {
  for (const program of [THUMBNAILS, join(BUILT, 'flame-relay'), join(BUILT, 'flame-runner')]) {
    expect(existsSync(program), `${program} is missing: run \`cargo xtask test deploy\``).toBe(
      true,
    );
  }
  writeFileSync(PHOTO, flatPicture());
  emulator = await Emulator.start(FOLDER, {
    // The service makes its calls when it starts, and exits.
    [inEcr('thumbs:latest')]: {
      entrypoint: [THUMBNAILS],
      cmd: [PHOTO, '--no-compare', '--backend', 'burst', '--listen', '127.0.0.1:0', '--out', '.'],
    },
    [inEcr('flame-relay:latest')]: { entrypoint: [join(BUILT, 'flame-relay')] },
    [inEcr('flame-runner:latest')]: { entrypoint: [join(BUILT, 'flame-runner')] },
  });
  const pem = (name: string) => readFileSync(join(PEM, name)).toString('base64');
  const imported = { Certificate: pem('certificate.pem'), PrivateKey: pem('key.pem') };
  const { CertificateArn } = await emulator.call('acm', 'ImportCertificate', imported);
  relayPort = await twoFreePorts();
  synthesize(join(FOLDER, 'cdk.out'), {
    domainName: '127.0.0.1',
    port: String(relayPort),
    certificate: CertificateArn,
  });
  await cdk('bootstrap', `aws://${ACCOUNT}/${REGION}`);
  const file = join(FOLDER, 'outputs.json');
  await cdk('deploy', '--all', '--require-approval', 'never', '--outputs-file', file);
  outputs = JSON.parse(readFileSync(file, 'utf8'));
});

afterAll(async () => {
  await emulator?.stop();
  rmSync(FOLDER, { recursive: true });
});

test('the deployed service makes its calls on Fargate and on Lambda', async () => {
  const { ClusterName: cluster, ServiceName: serviceName } = outputs[SERVICE] as Environment;
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
  await thumbnails(await environmentOfService(), '--backend', backend, '--listen', '127.0.0.1:0');
});

test('a laptop makes calls on Fargate through the relay, with generic runners', async () => {
  await thumbnails(await environmentOfLaptop(), '--backend', 'ecs', '--code-sync');
});

test('a laptop makes calls on Lambda through the relay', async () => {
  const { FLAME_AWS } = await environmentOfService();
  const environment = { ...(await environmentOfLaptop()), FLAME_AWS: FLAME_AWS as string };
  await thumbnails(environment, '--backend', 'lambda');
});

test('cdk destroy leaves nothing but the logs that the stacks retain', async () => {
  await cdk('destroy', '--all', '--force');
  await until(async () => {
    const { containers, environments } = await emulator.running();
    return containers.length + environments.length === 0;
  }, 'all processes to exit');
  expect(await emulator.stacks()).toEqual(['CDKToolkit']);
  expect((await emulator.call('ecs', 'ListClusters')).clusterArns).toEqual([]);
  expect(await emulator.functions()).toEqual([]);
  expect((await emulator.call('secretsmanager', 'ListSecrets')).SecretList).toEqual([]);
  const { logGroups } = await emulator.call('logs', 'DescribeLogGroups');
  const names: string[] = logGroups.map(({ logGroupName }: Environment) => logGroupName);
  expect(names.filter((name) => !/\/(VpcFlowLogLogGroup|Log)[0-9A-F]{8}$/.test(name))).toEqual([]);
  // The load balancer no longer listens.
  expect(await freePort(relayPort)).toBe(relayPort);
});

/** Runs `cdk` for the examples. */
async function cdk(...args: string[]): Promise<void> {
  const app = join(FOLDER, 'cdk.out');
  const env = { ...emulator.environment, CDK_DISABLE_CLI_TELEMETRY: '1' };
  await succeed(CDK, [...args, '--app', app, '--no-notices', '--ci'], { env });
}

/** Makes the calls of the example program, in a process that has these variables. */
async function thumbnails(variables: Environment, ...args: string[]): Promise<void> {
  const out = join(FOLDER, 'pictures');
  const env = { ...emulator.environment, ...variables };
  const output = await succeed(THUMBNAILS, [PHOTO, '--no-compare', '--out', out, ...args], { env });
  expect(output).toContain('6 calls');
}

/** The variables that the stack has given to the service. */
async function environmentOfService(): Promise<Environment> {
  const { ClusterName: cluster, ServiceName: service } = outputs[SERVICE] as Environment;
  const { services } = await emulator.call('ecs', 'DescribeServices', {
    cluster,
    services: [service],
  });
  const { taskDefinition } = await emulator.call('ecs', 'DescribeTaskDefinition', {
    taskDefinition: services[0].taskDefinition,
  });
  const { environment } = taskDefinition.containerDefinitions[0];
  return Object.fromEntries(environment.map(({ name, value }: Environment) => [name, value]));
}

/** The variables of a parent on a laptop, from the outputs of the stack. */
async function environmentOfLaptop(): Promise<Environment> {
  const { FLAMEAWS, FLAMERELAYURL, RelayKey } = outputs[LAPTOP] as Environment;
  const secret = await emulator.call('secretsmanager', 'GetSecretValue', { SecretId: RelayKey });
  return {
    FLAME_AWS: FLAMEAWS as string,
    FLAME_RELAY_URL: FLAMERELAYURL as string,
    FLAME_RELAY_KEY: secret.SecretString,
    SSL_CERT_FILE: CERTIFICATE,
  };
}

/** Repeats a request until it returns something true, for a time that only failing tests reach. */
async function until<T>(request: () => Promise<T | undefined>, what: string): Promise<T> {
  const begun = Date.now();
  for (;;) {
    const found = await request();
    if (found) {
      return found;
    }
    if (Date.now() - begun > PATIENCE_MS) {
      throw new Error(`waited ${PATIENCE_MS / 1_000} s for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The first of two ports that nothing listens on, for the two endpoints of the relay. */
async function twoFreePorts(): Promise<number> {
  for (;;) {
    const first = await freePort(0);
    if (first < 65_535 && (await freePort(first + 1).catch(() => 0)) === first + 1) {
      return first;
    }
  }
}

function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
