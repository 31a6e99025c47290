import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapFolder, built, provideAwsSdk } from './built';
import { importCertificate, TRUST } from './certificate';
import { ACCOUNT, Emulator, inEcr, REGION } from './emulator';
import { LAPTOP, SERVICE, synthesize } from './examples';
import { flatPicture } from './picture';
import { freePorts } from './ports';
import { type Finished, run, succeed } from './run';

const CDK = join(__dirname, '..', 'node_modules', '.bin', 'cdk');
const PARENT = join(__dirname, 'lambda-parent', 'parent.mjs');

/** An image whose program only waits. */
export const HANGS = 'hangs:1';

export type Environment = { [name: string]: string };
type Outputs = { [stack: string]: Environment };

/** The examples, deployed into an emulator of their own. */
export class Deployment {
  private constructor(
    /** Has the files of the deployment. */
    readonly folder: string,
    readonly emulator: Emulator,
    /** The ports of the load balancers. */
    readonly ports: number[],
    private readonly outputs: Outputs,
  ) {}

  /** Deploys all examples. */
  static async start(): Promise<Deployment> {
    const folder = mkdtempSync(join(tmpdir(), 'flame-cdk-'));
    const photo = join(folder, 'flat.png');
    writeFileSync(photo, flatPicture());
    provideAwsSdk(folder);
    const thumbnails = built('examples/thumbnails');
    const emulator = await Emulator.start(folder, {
      // The service makes its calls when it starts, and exits.
      [inEcr('thumbs:latest')]: {
        entrypoint: [thumbnails],
        cmd: [photo, '--no-compare', '--backend', 'burst', '--listen', '127.0.0.1:0', '--out', '.'],
      },
      [HANGS]: { entrypoint: ['/bin/sleep', '3600'] },
      [inEcr('flame-relay:latest')]: { entrypoint: [built('flame-relay')] },
      [inEcr('flame-runner:latest')]: { entrypoint: [built('flame-runner')] },
    });
    const first = await freePorts(3);
    const relay = { domainName: '127.0.0.1', certificate: await importCertificate(emulator) };
    synthesize(join(folder, 'cdk.out'), {
      service: { reaper: bootstrapFolder(join(folder, 'reaper'), `exec ${built('flame-reaper')}`) },
      laptop: { ...relay, port: `${first}` },
      lambdaParent: { ...relay, port: `${first + 2}`, app: lambdaParentApp(folder, thumbnails) },
    });
    const deployment = new Deployment(folder, emulator, [first, first + 1, first + 2], {});
    await deployment.cdk('bootstrap', `aws://${ACCOUNT}/${REGION}`);
    const file = join(folder, 'outputs.json');
    await deployment.cdk('deploy', '--all', '--require-approval', 'never', '--outputs-file', file);
    Object.assign(deployment.outputs, JSON.parse(readFileSync(file, 'utf8')));
    return deployment;
  }

  /** Stops everything that runs. */
  async stop(): Promise<void> {
    await this.emulator.stop();
    rmSync(this.folder, { recursive: true });
  }

  /** Runs `cdk` for the examples. */
  async cdk(...args: string[]): Promise<void> {
    const app = join(this.folder, 'cdk.out');
    const env = { ...this.emulator.environment, CDK_DISABLE_CLI_TELEMETRY: '1' };
    await succeed(CDK, [...args, '--app', app, '--no-notices', '--ci'], { env });
  }

  /** An output of a stack. */
  output(stack: string, name: string): string {
    const value = this.outputs[stack]?.[name];
    if (value === undefined) {
      throw new Error(`the stack ${stack} has no output ${name}`);
    }
    return value;
  }

  /** The arguments of the example program: a picture, and where the results go. */
  get thumbnailsArguments(): string[] {
    return [join(this.folder, 'flat.png'), '--no-compare', '--out', join(this.folder, 'pictures')];
  }

  /** Runs the example program as a parent with these variables. */
  thumbnails(variables: Environment, ...args: string[]): Promise<Finished> {
    const env = { ...this.emulator.environment, ...variables };
    return run(built('examples/thumbnails'), [...this.thumbnailsArguments, ...args], { env });
  }

  /** The variables that the stack has given to the service. */
  async environmentOfService(): Promise<Environment> {
    const cluster = this.output(SERVICE, 'ClusterName');
    const { services } = await this.emulator.call('ecs', 'DescribeServices', {
      cluster,
      services: [this.output(SERVICE, 'ServiceName')],
    });
    const { taskDefinition } = await this.emulator.call('ecs', 'DescribeTaskDefinition', {
      taskDefinition: services[0].taskDefinition,
    });
    const { environment } = taskDefinition.containerDefinitions[0];
    return Object.fromEntries(environment.map(({ name, value }: Environment) => [name, value]));
  }

  /** The variables of a parent on a laptop, from the outputs of the stack. */
  async environmentOfLaptop(): Promise<Environment> {
    return {
      FLAME_AWS: this.output(LAPTOP, 'FLAMEAWS'),
      FLAME_RELAY_URL: this.output(LAPTOP, 'FLAMERELAYURL'),
      FLAME_RELAY_KEY: await this.secret(this.output(LAPTOP, 'RelayKey')),
      ...TRUST,
    };
  }

  /** The value of a secret. */
  async secret(SecretId: string): Promise<string> {
    const value = await this.emulator.call('secretsmanager', 'GetSecretValue', { SecretId });
    return value.SecretString;
  }
}

/** The code of both functions of the example: a runner is the program, and the parent starts it. */
function lambdaParentApp(folder: string, thumbnails: string): string {
  const parent = `exec ${process.execPath} ${join(folder, 'parent.mjs')}`;
  // Beside the link to the AWS SDK.
  writeFileSync(join(folder, 'parent.mjs'), readFileSync(PARENT));
  const script = `[ -n "$FLAME_RUNNER" ] && exec ${thumbnails}\n${parent}`;
  return bootstrapFolder(join(folder, 'lambda-parent'), script);
}
