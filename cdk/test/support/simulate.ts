import { runSimulation } from '@cloud-copilot/iam-simulate';
import type { Request } from '../requests';
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

/** The requests that a policy denies. */
export async function denied(statements: Statement[], requests: Request[]): Promise<string[]> {
  const found: string[] = [];
  for (const { action, resources, context } of requests) {
    for (const resource of resources) {
      if (!(await allows(statements, action, resource, context))) {
        found.push(`${action} on ${resource}`);
      }
    }
  }
  return found;
}

/** A policy without one of its actions or resources. */
export interface LesserPolicy {
  /** The action or resource that is missing, and the index of its statement. */
  readonly missing: string;
  readonly index: number;
  readonly statements: Statement[];
}

/** The policies that lack one action, or one resource, of one statement. */
export function lesserPolicies(policy: Statement[], field: 'Action' | 'Resource'): LesserPolicy[] {
  return policy.flatMap((statement, index) => {
    const all = [statement[field]].flat();
    return all.map((missing) => {
      const rest = all.filter((other) => other !== missing);
      const less = rest.length > 0 ? [{ ...statement, [field]: rest }] : [];
      return { missing, index, statements: policy.toSpliced(index, 1, ...less) };
    });
  });
}
