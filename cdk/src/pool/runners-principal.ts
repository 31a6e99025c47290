import {
  type AddToPrincipalPolicyResult,
  CompositePrincipal,
  type IPrincipal,
  type IRole,
  type PolicyStatement,
  type PrincipalPolicyFragment,
} from 'aws-cdk-lib/aws-iam';
import { DependencyGroup, type IDependable } from 'constructs';

/** All roles of the runners of a pool, as one principal. */
export class RunnersPrincipal implements IPrincipal {
  readonly assumeRoleAction = 'sts:AssumeRole';

  constructor(private readonly roles: IRole[]) {}

  get grantPrincipal(): IPrincipal {
    return this;
  }

  get principalAccount(): string | undefined {
    return this.roles[0]?.principalAccount;
  }

  get policyFragment(): PrincipalPolicyFragment {
    const [first, ...rest] = this.roles;
    if (!first) {
      throw new Error('a pool has at least one role');
    }
    return rest.length === 0
      ? first.policyFragment
      : new CompositePrincipal(first, ...rest).policyFragment;
  }

  addToPrincipalPolicy(statement: PolicyStatement): AddToPrincipalPolicyResult {
    const dependables = new DependencyGroup();
    let statementAdded = this.roles.length > 0;
    for (const role of this.roles) {
      const result = role.addToPrincipalPolicy(statement.copy());
      statementAdded &&= result.statementAdded;
      if (result.policyDependable) {
        dependables.add(result.policyDependable);
      }
    }
    return { statementAdded, policyDependable: dependables as IDependable };
  }
}
