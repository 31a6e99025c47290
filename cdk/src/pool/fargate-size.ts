import { type Size, SizeRoundingBehavior, Token } from 'aws-cdk-lib';
import type { Problems } from '../problems';

interface MemoryRange {
  /** In MiB. */
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

/**
 * The memory that Fargate offers for each number of CPU units, on Linux. The library checks the
 * same table: `control/src/backend/ecs/fargate.rs`.
 */
const SIZES: ReadonlyMap<number, MemoryRange> = new Map([
  [256, { min: 512, max: 2_048, step: 512 }],
  [512, { min: 1_024, max: 4_096, step: 1_024 }],
  [1_024, { min: 2_048, max: 8_192, step: 1_024 }],
  [2_048, { min: 4_096, max: 16_384, step: 1_024 }],
  [4_096, { min: 8_192, max: 30_720, step: 1_024 }],
  [8_192, { min: 16_384, max: 61_440, step: 4_096 }],
  [16_384, { min: 32_768, max: 122_880, step: 8_192 }],
]);

/** Checks that Fargate offers tasks of this size. `prefix` precedes the names of the props. */
export function checkFargateSize(
  cpu: number,
  memory: Size,
  problems: Problems,
  prefix: string,
): void {
  if (Token.isUnresolved(cpu) || memory.isUnresolved()) {
    return;
  }
  const range = SIZES.get(cpu);
  if (!range) {
    const units = [...SIZES.keys()].join(', ');
    problems.add(`\`${prefix}cpu\` is ${cpu}: Fargate offers ${units} units`);
    return;
  }
  const mib = memory.toMebibytes({ rounding: SizeRoundingBehavior.NONE });
  const inRange = mib >= range.min && mib <= range.max;
  // The smallest size has 512, 1,024 and 2,048 MiB, but not 1,536.
  if (!inRange || mib % range.step !== 0 || (cpu === 256 && mib === 1_536)) {
    const except = cpu === 256 ? ', except 1536' : '';
    problems.add(
      `\`${prefix}memory\` is ${mib} MiB: with \`${prefix}cpu\` ${cpu} Fargate offers ` +
        `${range.min} to ${range.max} MiB, in steps of ${range.step}${except}`,
    );
  }
}
