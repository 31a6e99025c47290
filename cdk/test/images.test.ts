import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RunnerCode } from '../src';
import { newPool } from './support/stacks';
import { Deployed } from './support/template';

const HADOLINT = join(__dirname, '..', '.venv', 'bin', 'hadolint');
const IMAGES = join(__dirname, '..', 'images');
const NAMES = readdirSync(IMAGES);

const read = (name: string) => readFileSync(join(IMAGES, name, 'Dockerfile'), 'utf8');

function lint(dockerfile: string) {
  const result = spawnSync(HADOLINT, ['--no-color', '-'], { input: dockerfile, encoding: 'utf8' });
  expect(result.error).toBeUndefined();
  return result;
}

test('there is an image of the runner, of the relay, and one to copy for an app', () => {
  expect(NAMES.sort()).toEqual(['app', 'relay', 'runner']);
});

test.each(NAMES)('hadolint accepts the Dockerfile of the %s', (name) => {
  const { stdout, status } = lint(read(name));
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('hadolint finds what is wrong', () => {
  const { stdout, status } = lint('FROM rust:latest\nRUN apt-get install gcc\n');
  expect(stdout).toContain('DL3007');
  expect(stdout).toContain('DL3008');
  expect(status).toBe(1);
});

test.each(NAMES)('the image of the %s has no compiler, no shell and no root', (name) => {
  const stages = read(name).split(/^(?=FROM )/m);
  const last = stages.at(-1) ?? '';
  expect(last).toMatch(/^FROM (scratch|gcr\.io\/distroless\/\S+:nonroot)\n/);
  expect(last).toMatch(/^USER 65532:65532$/m);
  // With the shell form, a signal would reach a shell and not the program.
  expect(last).toMatch(/^ENTRYPOINT \["\/[a-z-]+"\]$/m);
  expect(last).not.toMatch(/^RUN /m);
});

test.each(NAMES)('the image of the %s is built for the platform of the build', (name) => {
  const instructions = read(name).replace(/^#.*$/gm, '');
  expect(instructions).not.toMatch(/x86|amd64|aarch64|arm|--platform/i);
});

test.each(['runner', 'relay'])('the image of the %s has the version of this package', (name) => {
  const { version } = JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8'));
  expect(read(name)).toContain(`\nARG FLAME_VERSION=${version}\n`);
});

test('in a checkout, the default image of runners is built from the sources of the checkout', () => {
  const { stack } = newPool({ code: RunnerCode.generic() });
  const [image] = new Deployed(stack).imageAssets();
  const files = readdirSync(image?.context ?? '', { recursive: true, encoding: 'utf8' });
  expect(image?.source.dockerFile).toBe(join('cdk', 'images', 'runner', 'Dockerfile'));
  expect(files).toContain(image?.source.dockerFile);
  expect(files).toContain(join('runner-shim', 'generic', 'Cargo.toml'));
  expect(files.filter((file) => /^(target|\.git|cdk\/node_modules)\//.test(file))).toEqual([]);
});
