import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { App, Stack, Validations } from 'aws-cdk-lib';
import { AccountRootPrincipal, Policy, PolicyStatement, Role } from 'aws-cdk-lib/aws-iam';
import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, test } from 'vitest';
import { LambdaParentStack } from '../examples/lambda-parent/stack';
import { LaptopStack } from '../examples/laptop/stack';
import { ServiceStack } from '../examples/service/stack';
import { EveryOptionStack } from './support/every-option';
import { BOOTSTRAP } from './support/stacks';

const CFN_LINT = join(__dirname, '..', '.venv', 'bin', 'cfn-lint');

const APPS: [string, (app: App) => Stack][] = [
  ['service', (app) => new ServiceStack(app, 'Service')],
  ['laptop', (app) => new LaptopStack(app, 'Laptop')],
  ['lambda-parent', (app) => new LambdaParentStack(app, 'LambdaParent')],
  ['with every option', (app) => new EveryOptionStack(app, 'EveryOption')],
];

/** The example of a service has a reaper only if the context has its program. */
const CONTEXT = { reaper: BOOTSTRAP };

test.each(APPS)('cdk-nag accepts the stack %s', (_, newStack) => {
  const app = new App({ context: CONTEXT });
  newStack(app);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  // Throws an error that lists the findings.
  app.synth();
});

test('cdk-nag finds what is not acknowledged', () => {
  const app = new App();
  const stack = new Stack(app, 'Test');
  new Policy(stack, 'Policy', {
    roles: [new Role(stack, 'Role', { assumedBy: new AccountRootPrincipal() })],
    statements: [new PolicyStatement({ actions: ['s3:*'], resources: ['*'] })],
  });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  expect(() => app.synth()).toThrow('AwsSolutions-IAM5');
});

test('cfn-lint accepts the templates', () => {
  const app = new App({ context: CONTEXT });
  const stacks = APPS.map(([, newStack]) => newStack(app));
  const { directory } = app.synth();
  const templates = stacks.map((stack) => join(directory, stack.templateFile));
  // CDK writes every dependency out, also those that follow from references (W3005).
  const flags = ['--regions', 'eu-central-1', '--ignore-checks', 'W3005'];
  const result = spawnSync(CFN_LINT, [...flags, '--', ...templates], { encoding: 'utf8' });
  expect(result.error).toBeUndefined();
  expect(result.stdout + result.stderr).toBe('');
  expect(result.status).toBe(0);
});
