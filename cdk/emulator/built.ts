import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const REPOSITORY = join(__dirname, '..', '..');
const MODULES = join(__dirname, '..', 'node_modules');

/** The path of a program that cargo has built. */
export function built(name: string): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target');
  const path = join(target, 'debug', name);
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run \`cargo xtask test deploy\``);
  }
  return path;
}

/**
 * A folder whose `bootstrap` is a shell script. The script stands for a program of a debug build,
 * which would make a zip file of hundreds of megabytes.
 */
export function bootstrapFolder(folder: string, script: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'bootstrap');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return folder;
}

/**
 * Gives functions in Node.js the AWS SDK, as their runtime in Lambda does. The emulator keeps their
 * code below this folder, and Node.js looks for modules in the folders above the code.
 */
export function provideAwsSdk(folder: string): void {
  symlinkSync(MODULES, join(folder, 'node_modules'));
}
