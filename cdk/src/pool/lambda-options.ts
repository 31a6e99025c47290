import type { Duration, Size } from 'aws-cdk-lib';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { RunnerCode } from './runner-code';

/** How the parent invokes the function. */
export enum RunnerInvocation {
  /** The response is the end of the runner, and throttling is seen at once. */
  REQUEST_RESPONSE = 'request-response',
  /** Lambda queues the event. */
  EVENT = 'event',
}

/** Runners that are invocations of a Lambda function. */
export interface LambdaRunnersOptions {
  /**
   * The code of the runners on Lambda, if it differs from that of the pool.
   * @default - the pool's `code`
   */
  readonly code?: RunnerCode;
  /**
   * How long a runner lives at most, from 15 s to 1,800 s. Some regions may allow only 900 s.
   * Unused time costs nothing.
   * @default Duration.seconds(900)
   */
  readonly timeout?: Duration;
  /**
   * The memory of a runner. Lambda allocates CPU in proportion: one vCPU at 1,769 MiB.
   * @default Size.mebibytes(1769)
   */
  readonly memory?: Size;
  /**
   * The size of `/tmp`, from 512 MiB to 10 GiB. The generic runner keeps executables there.
   * @default - 512 MiB
   */
  readonly ephemeralStorage?: Size;
  /**
   * The most runners at a time on Lambda. The account reserves this number for the function.
   * @default - the account's limit
   */
  readonly reservedConcurrency?: number;
  /**
   * How the parent invokes the function.
   * @default RunnerInvocation.REQUEST_RESPONSE
   */
  readonly invocation?: RunnerInvocation;
  /**
   * The name of an alias. Each deployment publishes a version and moves the alias to it, and
   * parents invoke the alias.
   * @default - parents invoke the unpublished version, $LATEST
   */
  readonly aliasName?: string;
  /**
   * Whether the function is outside of the VPC. It then reaches a parent only at a public address,
   * or through a relay.
   * @default false
   */
  readonly outsideVpc?: boolean;
  /**
   * The role that the app has on Lambda. flame-aws itself needs no permission. A role of your own
   * must allow writing the log and, in a VPC, what AWSLambdaVPCAccessExecutionRole allows.
   * @default - a new role with these permissions only
   */
  readonly role?: IRole;
  /**
   * The log group of the function.
   * @default - a new log group
   */
  readonly logGroup?: ILogGroup;
}
