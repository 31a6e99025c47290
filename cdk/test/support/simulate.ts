import { runSimulation } from '@cloud-copilot/iam-simulate';
import { ACCOUNT } from './stacks';
import type { Statement } from './template';

/** Whether a policy allows a request. An invalid request or policy is an error. */
export async function allows(
  statements: Statement[],
  action: string,
  resource: string,
  context: { [key: string]: string } = {},
): Promise<boolean> {
  const policy = { Version: '2012-10-17', Statement: statements };
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${ACCOUNT}:role/caller`,
        action,
        resource: { resource, accountId: ACCOUNT },
        contextVariables: context,
      },
      identityPolicies: [{ name: 'policy', policy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (result.resultType === 'error') {
    throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  }
  return result.overallResult === 'Allowed';
}
