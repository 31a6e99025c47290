// Runs the commands of the pages in `docs/` against the emulator.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { built, provideAwsSdk, REPOSITORY } from './built';
import { importCertificate, TRUST } from './certificate';
import { Emulator, type Image, inEcr } from './emulator';
import { type Exception, Page, Shell } from './page';
import { flatPicture } from './picture';
import { freePorts } from './ports';
import { until } from './until';

const CDK = join(__dirname, '..');
/** Beside npx, the programs of the pages: the AWS CLI. */
const PROGRAMS = join(CDK, '.venv', 'bin');
const INSTALLED: Exception = {
  command: /^npm ci$/,
  why: 'the packages are installed, since this test runs; it would need the network',
};
const NO_REGISTRY = 'the emulator has a table of images in place of a registry';

let emulator: Emulator | undefined;
let shell: Shell | undefined;
let folder = '';

afterEach(async () => {
  shell?.end();
  await emulator?.stop();
  rmSync(folder, { recursive: true, force: true });
  for (const example of ['service', 'laptop']) {
    rmSync(join(CDK, 'examples', example, 'outputs.json'), { force: true });
    rmSync(join(CDK, 'examples', example, 'cdk.out'), { recursive: true, force: true });
  }
});

/** Starts an emulator with these images, and a shell in the checkout that uses it. */
async function start(images: { [name: string]: Image }): Promise<[Emulator, Shell]> {
  folder = mkdtempSync(join(tmpdir(), 'flame-pages-'));
  provideAwsSdk(folder);
  emulator = await Emulator.start(folder, images);
  const { PATH, ...env } = emulator.environment;
  // A user has no need to say where AWS is, except here, and has no region yet.
  const { AWS_REGION: _, ...variables } = env;
  shell = new Shell(REPOSITORY, {
    ...variables,
    ...TRUST,
    PATH: `${PROGRAMS}:${PATH}`,
    CDK_DISABLE_CLI_TELEMETRY: '1',
  });
  return [emulator, shell];
}

/** Checks that a page has exactly these sections with commands, in this order. */
function pageOf(name: string, sections: string[]): Page {
  const page = new Page(join(CDK, 'docs', name));
  expect(page.sections).toEqual(sections);
  return page;
}

/** Runs all scripts of a section. Returns what they print. */
async function run(page: Page, section: string, exceptions: Exception[]): Promise<string> {
  let printed = '';
  for (const script of page.scripts(section, exceptions)) {
    printed += await (shell as Shell).run(script);
  }
  return printed;
}

/** Nothing of a page runs any more, and nothing is left but the stack of `cdk bootstrap`. */
async function nothingIsLeft(emulator: Emulator): Promise<void> {
  await until(async () => {
    const { containers, environments } = await emulator.running();
    return containers.length + environments.length === 0;
  }, 'all processes to exit');
  expect(await emulator.stacks()).toEqual(['CDKToolkit']);
  const { logGroups } = await emulator.call('logs', 'DescribeLogGroups');
  const names = logGroups.map(({ logGroupName }: { logGroupName: string }) => logGroupName);
  expect(names.filter((name: string) => !name.startsWith('/aws/'))).toEqual([]);
}

test('the page "From zero to a call on AWS" leads from an empty account to calls, and back', async () => {
  const image = { entrypoint: [built('hello')], cmd: ['127.0.0.1:0'] };
  const [aws] = await start({ [inEcr('hello:v1')]: image });
  const exceptions: Exception[] = [
    { command: /^docker (build|push) /, why: NO_REGISTRY },
    { command: /^aws ecr get-login-password/, why: NO_REGISTRY },
    INSTALLED,
  ];
  const page = pageOf('from-zero.md', [
    'What you need',
    'Build and push the image',
    'Deploy',
    'Watch the calls',
    'Destroy',
  ]);
  for (const section of ['What you need', 'Build and push the image', 'Deploy']) {
    await run(page, section, exceptions);
  }
  const watched = await until(async () => {
    const printed = await run(page, 'Watch the calls', exceptions);
    // A task on Spot: the service itself is on demand.
    return printed.includes('FARGATE_SPOT') ? printed : undefined;
  }, 'a runner on Fargate');
  expect(watched).toContain('9592 primes below 100000');
  expect(watched).toMatch(/RUNNING\s+FARGATE_SPOT\s+hello/);
  expect((await aws.calls()).Invoke, 'a runner on Lambda').toBeGreaterThan(0);
  await run(page, 'Destroy', exceptions);
  await nothingIsLeft(aws);
});

test('the page "Borrow the cluster from a laptop" leads from an empty account to calls, and back', async () => {
  const [aws] = await start({
    [inEcr('flame-relay:latest')]: { entrypoint: [built('flame-relay')] },
    [inEcr('flame-runner:latest')]: { entrypoint: [built('flame-runner')] },
  });
  const photo = join(folder, 'flat.png');
  writeFileSync(photo, flatPicture());
  const port = await freePorts(2);
  const noKey = 'the emulator has no private key for a certificate that its ACM has issued';
  const exceptions: Exception[] = [
    {
      command: /^domain=/,
      instead: 'domain=127.0.0.1',
      why: 'a test has no domain, and the load balancer listens at this address',
    },
    { command: /^port=/, instead: `port=${port}`, why: 'another program may use the port' },
    { command: /^parents=/, instead: 'parents=127.0.0.1/32', why: 'it would need the network' },
    {
      command: /^certificate=/,
      instead: `certificate=${await importCertificate(aws)}`,
      why: noKey,
    },
    { command: /^aws acm (describe-certificate|wait) /, why: noKey },
    { command: /^podman (build|push) /, why: NO_REGISTRY },
    { command: /^aws ecr get-login-password/, why: NO_REGISTRY },
    INSTALLED,
    {
      command: /^RUSTFLAGS=.* cargo run --release [\s\S]* --example thumbnails -- /,
      instead: `${built('examples/thumbnails')} --backend ecs --code-sync --no-compare ${photo} --out ${folder}/pictures`,
      why: 'it is built already, and a debug build would take minutes for photographs',
    },
  ];
  const page = pageOf('laptop.md', [
    'What you need',
    'The certificate',
    'Build and push the images',
    'Deploy',
    'Call',
    'Watch',
    'Replace the key',
    'Destroy',
  ]);
  for (const section of page.sections.slice(0, 4)) {
    await run(page, section, exceptions);
  }
  expect(await run(page, 'Call', exceptions)).toContain('6 calls');
  const tasks = (await run(page, 'Watch', exceptions)).trim().split('\n');
  expect(tasks).toEqual(['RUNNING\tNone\tNone', 'RUNNING\tNone\tNone']);
  const SecretId = (await (shell as Shell).run('output RelayKey')).trim();
  const key = async () =>
    (await aws.call('secretsmanager', 'GetSecretValue', { SecretId })).SecretString;
  const before = await key();
  await run(page, 'Replace the key', exceptions);
  await until(async () => (await key()) !== before, 'the new key');
  expect(await run(page, 'Call', exceptions)).toContain('6 calls');
  await run(page, 'Destroy', exceptions);
  await nothingIsLeft(aws);
});
