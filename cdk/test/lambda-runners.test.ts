import { Duration, Size } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import { expect, test } from 'vitest';
import { FlamePool, RunnerCode } from '../src';
import { allows } from './support/simulate';
import { ACCOUNT, lambdaCode, newPool, newStack, REGION, vpcOf } from './support/stacks';
import { Deployed } from './support/template';

const FUNCTION = 'AWS::Lambda::Function';
const EVENTS = 'AWS::Lambda::EventInvokeConfig';

test('by default a runner is an invocation of 15 minutes, and events are neither kept nor repeated', () => {
  const { stack } = newPool({ lambda: { code: lambdaCode() }, environment: { LEVEL: 'high' } });
  const template = Template.fromStack(stack);
  template.hasResourceProperties(FUNCTION, {
    Runtime: 'provided.al2023',
    Handler: 'bootstrap',
    Timeout: 900,
    MemorySize: 1_769,
    Architectures: ['x86_64'],
    Environment: { Variables: { FLAME_RUNNER: 'lambda', LEVEL: 'high' } },
  });
  template.hasResourceProperties(EVENTS, {
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 60,
    Qualifier: '$LATEST',
  });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  template.resourceCountIs('AWS::ECS::TaskDefinition', 0);
});

test('each option of a function reaches it', () => {
  const { stack } = newPool({
    cpuArchitecture: CpuArchitecture.ARM64,
    lambda: {
      code: lambdaCode(),
      timeout: Duration.minutes(30),
      memory: Size.gibibytes(4),
      ephemeralStorage: Size.gibibytes(2),
      reservedConcurrency: 50,
      aliasName: 'live',
    },
  });
  const template = Template.fromStack(stack);
  template.hasResourceProperties(FUNCTION, {
    Timeout: 1_800,
    MemorySize: 4_096,
    EphemeralStorage: { Size: 2_048 },
    ReservedConcurrentExecutions: 50,
    Architectures: ['arm64'],
  });
  template.hasResourceProperties('AWS::Lambda::Alias', { Name: 'live' });
  // One for the alias, and one for $LATEST.
  const events = { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 };
  template.resourcePropertiesCountIs(EVENTS, events, 2);
});

test('an image of ECR runs on ECS and on Lambda', () => {
  const stack = newStack();
  const code = RunnerCode.fromEcr(Repository.fromRepositoryName(stack, 'App', 'app'), '1.2');
  newPool({ code, ecs: {}, lambda: {} }, stack);
  const deployed = new Deployed(stack);
  const image = `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/app:1.2`;
  expect(deployed.only(FUNCTION)).toMatchObject({
    PackageType: 'Image',
    Code: { ImageUri: image },
  });
  const [{ Image }] = deployed.only('AWS::ECS::TaskDefinition').ContainerDefinitions;
  expect(Image).toBe(image);
});

test('by default both backends run the generic runner from one image that the deployment builds', () => {
  const stack = newStack();
  const vpc = vpcOf(stack);
  const cpuArchitecture = CpuArchitecture.ARM64;
  new FlamePool(stack, 'Pool', { vpc, cpuArchitecture, ecs: {}, lambda: {} });
  const deployed = new Deployed(stack);
  const [{ Image }] = deployed.only('AWS::ECS::TaskDefinition').ContainerDefinitions;
  expect(deployed.only(FUNCTION).Code.ImageUri).toEqual(Image);
  const [image, ...others] = deployed.imageAssets();
  expect(others).toEqual([]);
  expect(image?.source.platform).toBe('linux/arm64');
  expect(JSON.stringify(Image)).toContain(image?.id);
});

test('a function outside of the VPC has no network permissions, and needs no VPC', () => {
  const { stack, pool } = newPool({
    vpc: undefined,
    lambda: { code: lambdaCode(), outsideVpc: true },
  });
  const deployed = new Deployed(stack);
  expect(pool.vpc).toBeUndefined();
  expect(deployed.all('AWS::EC2::VPC')).toEqual([]);
  expect(deployed.only(FUNCTION).VpcConfig).toBeUndefined();
  expect(deployed.statements('Lambda')).toEqual([
    {
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: `${deployed.idOf('AWS::Logs::LogGroup')}.Arn`,
    },
  ]);
});

test('Lambda may use network interfaces, and the code of the function may not', async () => {
  const { stack } = newPool({ lambda: { code: lambdaCode() } });
  const deployed = new Deployed(stack);
  const statements = deployed.statements('NetworkInterfaces');
  const interfaceArn = `arn:aws:ec2:${REGION}:${ACCOUNT}:network-interface/eni-0123456789abcdef0`;
  const may = (context: { [key: string]: string }) =>
    allows(statements, 'ec2:DeleteNetworkInterface', interfaceArn, context);
  expect(await may({})).toBe(true);
  expect(await may({ 'lambda:SourceFunctionArn': deployed.arnOf(FUNCTION) })).toBe(false);
});
