import { type Duration, type Size, SizeRoundingBehavior, Token } from 'aws-cdk-lib';
import type { Problems } from './problems';

/** The least and the greatest value of a prop. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Checks a number that is known when the app is synthesised. */
export function checkNumber(
  name: string,
  value: number | undefined,
  range: Range,
  problems: Problems,
): void {
  if (value === undefined || Token.isUnresolved(value)) {
    return;
  }
  problems.require(
    Number.isInteger(value) && value >= range.min && value <= range.max,
    `\`${name}\` is ${value}: it must be a whole number from ${range.min} to ${range.max}`,
  );
}

/** Checks a time, whose range is in seconds. `why` follows the range. */
export function checkDuration(
  name: string,
  value: Duration | undefined,
  range: Range,
  problems: Problems,
  why = '',
): void {
  if (value === undefined || value.isUnresolved()) {
    return;
  }
  const seconds = value.toMilliseconds() / 1_000;
  problems.require(
    Number.isInteger(seconds) && seconds >= range.min && seconds <= range.max,
    `\`${name}\` is ${seconds} s: it must be a whole number of seconds from ${range.min} to ${range.max}${why}`,
  );
}

/** Checks a size, whose range is in MiB. */
export function checkSize(
  name: string,
  value: Size | undefined,
  range: Range,
  problems: Problems,
): void {
  if (value === undefined || value.isUnresolved()) {
    return;
  }
  const mib = value.toMebibytes({ rounding: SizeRoundingBehavior.NONE });
  problems.require(
    Number.isInteger(mib) && mib >= range.min && mib <= range.max,
    `\`${name}\` is ${mib} MiB: it must be a whole number of MiB from ${range.min} to ${range.max}`,
  );
}
