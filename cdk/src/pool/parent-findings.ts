import { Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { Statement } from './parent-grants';

/** Why a parent's statements have wildcards. */
export const PARENT_WILDCARDS =
  'The tasks and revisions of a pool have new names each time, and AWS has no resource for ' +
  'ecs:ListTasks, ecs:DescribeTaskDefinition and cloudwatch:PutMetricData. The statements are limited to ' +
  'the cluster, the family, the function, the folder and the metrics namespace of one pool.';

/** Tells cdk-nag why statements have wildcards, and only for these wildcards. */
export function acknowledgeWildcards(
  construct: IConstruct,
  statements: Statement[],
  reason: string,
): void {
  const stack = Stack.of(construct);
  const resources = statements.flatMap(({ resources }) => resources);
  const findings = resources
    .map((resource) => findingText(stack.resolve(resource)))
    .filter((text) => text.includes('*'))
    .map((text) => `AwsSolutions-IAM5[Resource::${text}]`);
  const ids = [...new Set(findings)];
  Validations.of(construct).acknowledge(...ids.map((id) => ({ id, reason })));
}

/** An ARN as cdk-nag writes it: `arn:<AWS::Partition>:ecs:..:task/<Cluster>/*`. */
function findingText(value: unknown): string {
  if (value === null || typeof value !== 'object') {
    return String(value);
  }
  if ('Fn::Join' in value) {
    const [separator, parts] = value['Fn::Join'] as [string, unknown[]];
    return parts.map(findingText).join(separator);
  }
  if ('Fn::GetAtt' in value) {
    return `<${(value['Fn::GetAtt'] as string[]).join('.')}>`;
  }
  return 'Ref' in value ? `<${value.Ref}>` : JSON.stringify(value);
}
