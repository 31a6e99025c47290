import { Duration } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

/**
 * For a function that must not repeat an event. 60 s is the shortest time that Lambda and
 * EventBridge can keep one.
 */
export const EVENTS_ONCE = { retryAttempts: 0, maxEventAge: Duration.seconds(60) };

/** A role with which a function may write its log, and nothing else. */
export function newFunctionRole(
  scope: Construct,
  id: string,
  logGroup: ILogGroup,
  description?: string,
): Role {
  const assumedBy = new ServicePrincipal('lambda.amazonaws.com');
  const role = new Role(scope, id, { description, assumedBy });
  logGroup.grantWrite(role);
  return role;
}
