import { Stack } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { EcsRunners } from './ecs-runners';
import type { LambdaRunners } from './lambda-runners';

/** The backends of a pool. */
export interface PoolBackends {
  readonly ecs?: EcsRunners;
  readonly lambda?: LambdaRunners;
}

/**
 * The value of FLAME_AWS. `control/src/backend/aws/settings.rs` reads it, and rejects settings that
 * it does not know.
 */
export function flameAws(scope: IConstruct, backends: PoolBackends): string {
  const document = { ecs: backends.ecs?.settings, lambda: backends.lambda?.settings };
  return Stack.of(scope).toJsonString(document);
}
