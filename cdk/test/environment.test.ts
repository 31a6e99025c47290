import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FargateCapacity, type FlamePoolProps, RunnerInvocation } from '../src';
import { lambdaCode, newPool } from './support/stacks';
import { Deployed } from './support/template';

const BACKENDS = join(__dirname, '..', '..', 'control', 'src', 'backend');

/** Every option that changes FLAME_AWS. */
const ALL: FlamePoolProps = {
  ecs: { capacity: FargateCapacity.SPOT_FIRST },
  lambda: { code: lambdaCode(), aliasName: 'live', invocation: RunnerInvocation.EVENT },
};

test('FLAME_AWS has the names of everything that was deployed', () => {
  const { stack, pool } = newPool(ALL);
  const environment = pool.environmentForParent();
  const deployed = new Deployed(stack);
  const { ecs, lambda, ...others } = JSON.parse(deployed.text(environment.FLAME_AWS ?? ''));
  expect(Object.keys(environment)).toEqual(['FLAME_AWS']);
  expect(others).toEqual({});
  expect(ecs).toEqual({
    region: 'eu-central-1',
    cluster: deployed.arnOf('AWS::ECS::Cluster'),
    taskDefinition: deployed.arnOf('AWS::ECS::TaskDefinition'),
    container: 'runner',
    subnets: ['subnet-0aaaaaaaaaaaaaaaa', 'subnet-0bbbbbbbbbbbbbbbb'],
    securityGroups: [`${deployed.idOf('AWS::EC2::SecurityGroup')}.GroupId`],
    assignPublicIp: false,
    capacityProvider: 'FARGATE_SPOT=1,FARGATE=0',
  });
  expect(lambda).toEqual({
    region: 'eu-central-1',
    function: deployed.arnOf('AWS::Lambda::Function'),
    qualifier: 'live',
    invocation: 'event',
  });
});

test('settings with their default values are left out', () => {
  const { stack, pool } = newPool({ lambda: { code: lambdaCode() } });
  const deployed = new Deployed(stack);
  expect(JSON.parse(deployed.text(pool.environmentForParent().FLAME_AWS ?? ''))).toEqual({
    lambda: { region: 'eu-central-1', function: deployed.arnOf('AWS::Lambda::Function') },
  });
});

test('the library knows every setting in FLAME_AWS', () => {
  const { stack, pool } = newPool(ALL);
  const value = new Deployed(stack).text(pool.environmentForParent().FLAME_AWS ?? '');
  const { ecs, lambda } = JSON.parse(value);
  expect(namesIn('ecs/task_template.rs', 'TEXTS')).toEqual(
    expect.arrayContaining(Object.keys(ecs)),
  );
  expect(namesIn('lambda/settings.rs', 'NAMES')).toEqual(
    expect.arrayContaining(Object.keys(lambda)),
  );
});

/** The names in a list of the Rust sources, in camel case. */
function namesIn(file: string, list: string): string[] {
  const source = readFileSync(join(BACKENDS, file), 'utf8');
  const found = source.match(new RegExp(`const ${list}: &\\[&str\\] = &\\[([^\\]]*)\\]`));
  const names = [...(found?.[1] ?? '').matchAll(/"(\w+)"/g)].map(([, name]) => name ?? '');
  return names.map((name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()));
}
