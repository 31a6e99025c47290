import { Token } from 'aws-cdk-lib';
import type { FlamePoolProps } from '../flame-pool';
import type { Problems } from '../problems';
import { checkDuration, checkNumber, type Range } from '../range';
import type { FlamePoolAlarms } from './alarm-options';
import type { PoolMetricsOptions } from './options';

const COUNTS = [
  'bootFailures',
  'orphans',
  'throttledBoots',
  'refusedClients',
  'functionThrottles',
] as const satisfies (keyof FlamePoolAlarms)[];
const COUNT: Range = { min: 1, max: 1_000_000 };
const PERCENT: Range = { min: 1, max: 100 };
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Checks the props `metrics`, `alarms` and `dashboard` of a pool. */
export function checkMetricsProps(props: FlamePoolProps, problems: Problems): void {
  const { metrics, alarms } = props;
  for (const needs of ['alarms', 'dashboard'] as const) {
    problems.require(
      props[needs] === undefined || metrics !== undefined,
      `\`${needs}\` is set without \`metrics\`, which has the names of the metrics: set it as well`,
    );
  }
  if (metrics) {
    checkNames(metrics, problems);
    checkDuration('metrics.period', metrics.period, { min: 1, max: HOUR }, problems);
  }
  if (alarms) {
    checkAlarms(alarms, problems);
  }
}

/**
 * The limits of names:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html and
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
 */
function checkNames({ app, pool, namespace }: PoolMetricsOptions, problems: Problems): void {
  checkDimension('app', app, '', problems);
  checkDimension('pool', pool, '; the app sends `_` in place of any other character', problems);
  problems.require(
    namespace === undefined ||
      Token.isUnresolved(namespace) ||
      /^(?!AWS\/|:)(?=.*\S)[\w .#:/-]{1,255}$/.test(namespace),
    `\`metrics.namespace\` is \`${namespace}\`: it must have 1 to 255 letters, digits, spaces and \`.-_/#:\`, and must not begin with \`AWS/\` or \`:\``,
  );
}

function checkDimension(name: string, value: string, hint: string, problems: Problems): void {
  problems.require(
    Token.isUnresolved(value) || /^(?!:)(?=.*\S)[\x20-\x7e]{1,1024}$/.test(value),
    `\`metrics.${name}\` is \`${value}\`: it must have 1 to 1024 printable ASCII characters, and not begin with \`:\`${hint}`,
  );
}

function checkAlarms(alarms: FlamePoolAlarms, problems: Problems): void {
  for (const name of COUNTS) {
    checkNumber(`alarms.${name}`, given(alarms[name]), COUNT, problems);
  }
  checkNumber('alarms.vcpuQuota', given(alarms.vcpuQuota), PERCENT, problems);
  const { queueWait, stuckBoots } = alarms;
  checkDuration('alarms.queueWait', given(queueWait), { min: 1, max: DAY }, problems);
  const time = given(stuckBoots);
  checkDuration('alarms.stuckBoots', time, { min: MINUTE, max: HOUR }, problems);
  if (time && !time.isUnresolved()) {
    problems.require(
      time.toMilliseconds() % (1_000 * MINUTE) === 0,
      `\`alarms.stuckBoots\` is ${time.toHumanString()}: it must be a number of whole minutes`,
    );
  }
}

/** The threshold of an alarm that is not left out. */
function given<Threshold>(threshold: Threshold | false | undefined): Threshold | undefined {
  return threshold === false ? undefined : threshold;
}
