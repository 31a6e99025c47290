import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const START = join(__dirname, '..', '..', 'localstack', 'emulator', 'start.py');
export const ACCOUNT = '000000000001';
export const REGION = 'eu-central-1';
/** The name of an image in ECR. */
export const inEcr = (image: string) => `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/${image}`;

/** The program that an image stands for. */
export interface Image {
  readonly entrypoint: string[];
  readonly cmd?: string[];
  readonly env?: { [name: string]: string };
}

/** The versions of the JSON APIs, by the names of their services. */
const TARGETS = {
  acm: 'CertificateManager',
  events: 'AWSEvents',
  ecs: 'AmazonEC2ContainerServiceV20141113',
  logs: 'Logs_20140328',
  secretsmanager: 'secretsmanager',
};

/** A running emulator of AWS. */
export class Emulator {
  private constructor(
    private readonly folder: string,
    private readonly endpoint: string,
    private readonly child: ChildProcess,
  ) {}

  /** Starts an emulator with its files in this folder. Its images are these programs. */
  static async start(folder: string, images: { [name: string]: Image }): Promise<Emulator> {
    const table = join(folder, 'images.json');
    writeFileSync(table, JSON.stringify(images));
    const args = [START, '--images', table, '--dir', join(folder, 'run')];
    const log = join(folder, 'emulator.log');
    const child = spawn('python3', args, { stdio: ['pipe', 'pipe', openSync(log, 'w')] });
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      return new Emulator(folder, JSON.parse(line).endpoint, child);
    }
    throw new Error(`the emulator did not start: ${readFileSync(log, 'utf8')}`);
  }

  /** Stops the emulator, and all tasks and functions with it. */
  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.stdin?.end();
    await exited;
  }

  /** The environment of a program that uses this AWS. */
  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: ACCOUNT,
      AWS_SECRET_ACCESS_KEY: 'secret',
    };
  }

  /** Calls an operation of a JSON API. */
  async call(service: keyof typeof TARGETS, operation: string, body: object = {}) {
    const response = await this.request(service, '/', {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `${TARGETS[service]}.${operation}`,
      },
      body: JSON.stringify(body),
    });
    return JSON.parse(response);
  }

  /** What a task has printed. */
  logOf(task: string): string {
    return readFileSync(join(this.folder, 'run', task.split('/').at(-1) ?? '', 'log'), 'utf8');
  }

  /** The names of all stacks. */
  async stacks(): Promise<string[]> {
    const response = await this.request('cloudformation', '/', {
      method: 'POST',
      body: new URLSearchParams({ Action: 'DescribeStacks', Version: '2010-05-15' }),
    });
    return [...response.matchAll(/<StackName>([^<]+)</g)].map(([, name]) => name as string);
  }

  /** The names of all functions. */
  async functions(): Promise<string[]> {
    const listed = JSON.parse(await this.request('lambda', '/2015-03-31/functions/'));
    return listed.Functions.map(({ FunctionName }: { FunctionName: string }) => FunctionName);
  }

  /** Invokes a function, and returns its answer. A function that fails is an error. */
  async invoke(name: string, event: object) {
    const path = `/2015-03-31/functions/${name}/invocations`;
    const answer = await this.request('lambda', path, {
      method: 'POST',
      body: JSON.stringify(event),
    });
    const { errorMessage, ...result } = JSON.parse(answer);
    if (errorMessage !== undefined) {
      throw new Error(`${name} failed: ${errorMessage}`);
    }
    return result;
  }

  /** Replaces the variables of a function. */
  async setVariables(name: string, variables: { [name: string]: string }): Promise<void> {
    const path = `/2015-03-31/functions/${name}/configuration`;
    const body = JSON.stringify({ Environment: { Variables: variables } });
    await this.request('lambda', path, { method: 'PUT', body });
  }

  /** The variables of a function. */
  async variables(name: string): Promise<{ [name: string]: string }> {
    const path = `/2015-03-31/functions/${name}/configuration`;
    return JSON.parse(await this.request('lambda', path)).Environment.Variables;
  }

  /** How often each operation has been called. */
  async calls(): Promise<{ [operation: string]: number }> {
    return JSON.parse(await this.request('emulator', `/_calls?account=${ACCOUNT}`));
  }

  /** The running containers of tasks and environments of functions. */
  async running(): Promise<{ containers: object[]; environments: object[] }> {
    return JSON.parse(await this.request('emulator', `/_running?account=${ACCOUNT}`));
  }

  private async request(service: string, path: string, init: RequestInit = {}): Promise<string> {
    const scope = `${ACCOUNT}/20260101/${REGION}/${service}/aws4_request`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`;
    const response = await fetch(this.endpoint + path, {
      ...init,
      headers: { ...init.headers, authorization },
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${service} ${path} answered ${response.status}: ${text}`);
    }
    return text;
  }
}
