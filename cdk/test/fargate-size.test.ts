import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Size } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { expect, test } from 'vitest';
import { checkFargateSize } from '../src/pool/fargate-size';
import { Problems } from '../src/problems';
import { newStack } from './support/stacks';

const CHECKED_BY_THE_LIBRARY = join(__dirname, '../../control/src/backend/ecs/fargate.rs');

const pool = new Construct(newStack(), 'Pool');

/** The error for a size, if there is one. */
function errorFor(cpu: number, mib: number): string | undefined {
  const problems = new Problems();
  checkFargateSize(cpu, Size.mebibytes(mib), problems, 'ecs.');
  try {
    problems.throwFor(pool);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

test('the library and the construct accept the same sizes', () => {
  const source = readFileSync(CHECKED_BY_THE_LIBRARY, 'utf8');
  const rows = [...source.matchAll(/^ {4}\(([\d_]+), ([\d_]+), ([\d_]+), ([\d_]+)\),$/gm)];
  expect(rows.length).toBeGreaterThan(0);
  const sizes = rows.map(([, ...row]) => row.map((text) => Number(text.replaceAll('_', ''))));
  for (const cpu of [128, ...sizes.map(([units]) => units ?? 0), 32_768]) {
    const [, min = 0, max = 0, step = 1] = sizes.find(([units]) => units === cpu) ?? [];
    for (let mib = 256; mib <= 131_072; mib += 256) {
      const isOffered =
        max > 0 && mib >= min && mib <= max && mib % step === 0 && !(cpu === 256 && mib === 1_536);
      expect(errorFor(cpu, mib) === undefined, `${cpu} CPU units, ${mib} MiB`).toBe(isOffered);
    }
  }
});

test('the error for a size that does not exist names the props and the sizes that exist', () => {
  expect(errorFor(300, 512)).toContain(
    '`ecs.cpu` is 300: Fargate offers 256, 512, 1024, 2048, 4096, 8192, 16384 units',
  );
  expect(errorFor(1_024, 1_024)).toContain(
    '`ecs.memory` is 1024 MiB: with `ecs.cpu` 1024 Fargate offers 2048 to 8192 MiB, in steps of 1024',
  );
});
