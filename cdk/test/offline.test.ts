// `cdk synth` of each example, without a network, an account and Docker.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../emulator/run';

const EXAMPLES = join(__dirname, '..', 'examples');
const CDK = join(__dirname, '..', 'node_modules', '.bin', 'cdk');
const PRELOAD = `--require ${join(__dirname, 'support', 'no-network.cjs')}`;
/** Runs a program in a network namespace of its own, in which nothing is up. */
const NAMESPACE = ['unshare', '--map-root-user', '--net'];
/** Only Linux has namespaces, and not every system lets a user create one. */
const HAS_NAMESPACES = spawnSync(NAMESPACE[0] ?? '', [...NAMESPACE.slice(1), 'true']).status === 0;

/** The home of a user without AWS credentials, and the templates. */
const FOLDER = mkdtempSync(join(tmpdir(), 'flame-cdk-offline-'));
let server: Server;

beforeAll(async () => {
  server = createServer((socket) => socket.end());
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
});

afterAll(() => {
  server.close();
  rmSync(FOLDER, { recursive: true });
});

/** Runs a program, by default without a network in every way that this system offers. */
function offline(
  command: string[],
  cwd: string,
  cut: { namespace: boolean; preload: boolean } = { namespace: HAS_NAMESPACES, preload: true },
) {
  const [program = '', ...args] = cut.namespace ? [...NAMESPACE, ...command] : command;
  const { PATH } = process.env;
  const env = {
    PATH,
    HOME: FOLDER,
    CDK_DOCKER: 'false',
    ...(cut.preload && { NODE_OPTIONS: PRELOAD }),
  };
  return run(program, args, { cwd, env });
}

test.each([
  [{ namespace: false, preload: false }, 'connected\n'],
  [{ namespace: false, preload: true }, 'ENETUNREACH\n'],
  ...(HAS_NAMESPACES ? [[{ namespace: true, preload: false }, 'ENETUNREACH\n'] as const] : []),
] as const)('with %j a program that connects prints: %s', async (cut, expected) => {
  const { port } = server.address() as { port: number };
  const script = `require('node:net').connect(${port}, '127.0.0.1')
    .on('connect', () => console.log('connected'))
    .on('error', ({ code }) => console.log(code))`;
  const { output } = await offline(['node', '--eval', script], FOLDER, cut);
  expect(output).toBe(expected);
});

test.each(readdirSync(EXAMPLES))('cdk synth of %s needs no network', async (example) => {
  const out = join(FOLDER, example);
  const command = [CDK, 'synth', '--quiet', '--output', out];
  const { output, code } = await offline(command, join(EXAMPLES, example));
  expect(code, output).toBe(0);
  expect(readdirSync(out).filter((file) => file.endsWith('.template.json')).length).toBe(1);
});
