import { Validations } from 'aws-cdk-lib';
import type { TaskDefinition } from 'aws-cdk-lib/aws-ecs';
import type { IRole } from 'aws-cdk-lib/aws-iam';

/** The execution role that CDK makes for a task definition. It has only what the task needs. */
export function acknowledgedExecutionRole(taskDefinition: TaskDefinition): IRole {
  const role = taskDefinition.obtainExecutionRole();
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'AWS has no resource for ecr:GetAuthorizationToken.',
  });
  return role;
}
