import { Token } from 'aws-cdk-lib';
import { CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import type { FlamePoolProps } from '../flame-pool';
import { checkMetricsProps } from '../metrics/checks';
import type { Problems } from '../problems';
import { checkDuration, checkNumber, checkSize } from '../range';
import { codeStorePrefix } from './code-store';
import type { EcsRunnersOptions } from './ecs-options';
import { DEFAULT_CPU, DEFAULT_MEMORY, MAX_STOP_TIMEOUT } from './ecs-runners';
import { checkFargateSize } from './fargate-size';
import type { LambdaRunnersOptions } from './lambda-options';
import type { RunnerCode } from './runner-code';

/** The variables that only flame-aws sets. */
const RESERVED_VARIABLES = ['FLAME_PARENT', 'FLAME_RUNNER', 'FLAME_STOP_TIMEOUT'];
/** The options that describe a new task definition. */
const TASK_OPTIONS = [
  'code',
  'cpu',
  'memory',
  'ephemeralStorage',
  'stopTimeout',
  'readonlyRootFilesystem',
  'taskRole',
  'executionRole',
  'secrets',
  'logGroup',
] as const;
const GIB = 1_024;
/** A runner begins to drain 10 s before the timeout; the library rejects a shorter one. */
const LAMBDA_TIMEOUT = { min: 15, max: 1_800 };

/** Checks all props of a pool that can be checked without its VPC. */
export function checkPoolProps(props: FlamePoolProps, code: RunnerCode, problems: Problems): void {
  const architecture = props.cpuArchitecture ?? CpuArchitecture.X86_64;
  checkNumber('port', props.port, { min: 1, max: 65_535 }, problems);
  for (const name of Object.keys(props.environment ?? {})) {
    problems.require(
      !RESERVED_VARIABLES.includes(name),
      `\`environment\` sets ${name}, which flame-aws sets itself: remove it`,
    );
  }
  checkMetricsProps(props, problems);
  if (props.codeStore) {
    problems.require(
      codeStorePrefix(props.codeStore) !== '',
      '`codeStore.prefix` is empty: the parent would be allowed to write to the whole bucket',
    );
  }
  const onEcs = props.ecs && !props.ecs.code && !props.ecs.taskDefinition;
  const onLambda = props.lambda && !props.lambda.code;
  problems.require(
    props.code === undefined || onEcs === true || onLambda === true,
    '`code` is set, but each backend has code of its own: remove one of them',
  );
  if (props.ecs) {
    checkEcs(props.ecs, problems);
    const image = (props.ecs.code ?? code)._imageForEcs(architecture);
    problems.require(
      image !== undefined || props.ecs.taskDefinition !== undefined,
      `\`${props.ecs.code ? 'ecs.code' : 'code'}\` is a bootstrap zip, which ECS cannot run: use an image`,
    );
  }
  if (props.lambda) {
    checkLambda(props.lambda, problems);
    const functionCode = (props.lambda.code ?? code)._codeForLambda(architecture);
    problems.require(
      functionCode !== undefined,
      `\`${props.lambda.code ? 'lambda.code' : 'code'}\` is an image of a registry, which Lambda cannot run: set \`lambda.code\` to an image in ECR, an image asset or a bootstrap zip`,
    );
  }
}

function checkEcs(options: EcsRunnersOptions, problems: Problems): void {
  const { taskDefinition } = options;
  problems.require(
    !(options.enableExecuteCommand && options.readonlyRootFilesystem),
    '`ecs.enableExecuteCommand` and `ecs.readonlyRootFilesystem` are both true, and ECS opens a shell only in a container that can write to its root filesystem: set one of them to false',
  );
  if (taskDefinition) {
    const name = options.containerName;
    const container = name ? taskDefinition.findContainer(name) : taskDefinition.defaultContainer;
    problems.require(
      container !== undefined,
      name
        ? `\`ecs.containerName\` is \`${name}\`, which \`ecs.taskDefinition\` does not have`
        : '`ecs.taskDefinition` has no container: add it before you create the pool',
    );
    problems.require(
      container?.essential ?? true,
      'the container of `ecs.taskDefinition` is not essential, so a task would outlive its runner',
    );
    for (const option of TASK_OPTIONS) {
      problems.require(
        options[option] === undefined,
        `\`ecs.${option}\` and \`ecs.taskDefinition\` are both set: set one of them`,
      );
    }
    return;
  }
  problems.require(
    options.containerName === undefined,
    '`ecs.containerName` is set without `ecs.taskDefinition`: remove it',
  );
  checkFargateSize(options.cpu ?? DEFAULT_CPU, options.memory ?? DEFAULT_MEMORY, problems, 'ecs.');
  const storage = options.ephemeralStorage;
  checkSize('ecs.ephemeralStorage', storage, { min: 21 * GIB, max: 200 * GIB }, problems);
  checkDuration(
    'ecs.stopTimeout',
    options.stopTimeout,
    { min: 2, max: MAX_STOP_TIMEOUT.toSeconds() },
    problems,
  );
}

function checkLambda(options: LambdaRunnersOptions, problems: Problems): void {
  checkDuration('lambda.timeout', options.timeout, LAMBDA_TIMEOUT, problems);
  checkSize('lambda.memory', options.memory, { min: 128, max: 10 * GIB }, problems);
  checkSize(
    'lambda.ephemeralStorage',
    options.ephemeralStorage,
    { min: 512, max: 10 * GIB },
    problems,
  );
  checkNumber(
    'lambda.reservedConcurrency',
    options.reservedConcurrency,
    { min: 1, max: 1_000_000 },
    problems,
  );
  const alias = options.aliasName;
  problems.require(
    alias === undefined || Token.isUnresolved(alias) || /^(?!\d+$)[\w-]{1,128}$/.test(alias),
    `\`lambda.aliasName\` is \`${alias}\`: an alias has letters, digits, \`-\` and \`_\`, and is not a number`,
  );
}
