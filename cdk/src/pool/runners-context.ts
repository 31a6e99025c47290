import type { RemovalPolicy } from 'aws-cdk-lib';
import type { CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { RunnerCode } from './runner-code';

/** What the backends of a pool share. */
export interface RunnersContext {
  readonly code: RunnerCode;
  readonly architecture: CpuArchitecture;
  readonly environment: { [name: string]: string };
  readonly logRetention: RetentionDays;
  readonly removalPolicy: RemovalPolicy;
}

/** The log group of runners: the given one, or a new one. */
export function runnersLogGroup(
  scope: Construct,
  given: ILogGroup | undefined,
  context: RunnersContext,
): ILogGroup {
  return (
    given ??
    new LogGroup(scope, 'Log', {
      retention: context.logRetention,
      removalPolicy: context.removalPolicy,
    })
  );
}
