import { Duration, Size, Stack, Validations } from 'aws-cdk-lib';
import { Effect, type IRole, Policy, PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import { Alias, Handler, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { EVENTS_ONCE, newFunctionRole } from '../function-role';
import { lambdaArchitecture } from './architecture';
import { type LambdaRunnersOptions, RunnerInvocation } from './lambda-options';
import type { RunnersNetwork } from './network';
import type { FunctionCode } from './runner-code';
import { type RunnersContext, runnersLogGroup } from './runners-context';

const DEFAULT_TIMEOUT = Duration.seconds(900);
const DEFAULT_MEMORY = Size.mebibytes(1_769);

/** What Lambda does in a VPC with the role of a function (AWSLambdaVPCAccessExecutionRole). */
const NETWORK_INTERFACE_ACTIONS = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];

/** The part of a pool whose runners are invocations of a function. */
export class LambdaRunners extends Construct {
  readonly function: LambdaFunction;
  readonly alias?: Alias;
  private networkPolicy?: Policy;

  constructor(
    scope: Construct,
    id: string,
    private readonly options: LambdaRunnersOptions,
    context: RunnersContext,
    network: RunnersNetwork | undefined,
  ) {
    super(scope, id);
    const logGroup = runnersLogGroup(this, options.logGroup, context);
    // The checks of the props reject code that Lambda can't run.
    const code = options.code ?? context.code;
    const { code: functionCode, isImage } = code._codeForLambda(
      context.architecture,
    ) as FunctionCode;
    this.function = new LambdaFunction(this, 'Function', {
      description: 'Runners of flame-aws; only their parents invoke it',
      code: functionCode,
      runtime: isImage ? Runtime.FROM_IMAGE : Runtime.PROVIDED_AL2023,
      handler: isImage ? Handler.FROM_IMAGE : 'bootstrap',
      architecture: lambdaArchitecture(context.architecture),
      timeout: options.timeout ?? DEFAULT_TIMEOUT,
      memorySize: (options.memory ?? DEFAULT_MEMORY).toMebibytes(),
      ephemeralStorageSize: options.ephemeralStorage,
      reservedConcurrentExecutions: options.reservedConcurrency,
      environment: { ...context.environment, FLAME_RUNNER: 'lambda' },
      role: options.role ?? this.newRole(logGroup, network !== undefined),
      logGroup,
      vpc: network?.vpc,
      vpcSubnets: network?.vpcSubnets,
      securityGroups: network && [network.securityGroup],
      // A later event finds its token used up.
      ...EVENTS_ONCE,
    });
    if (this.networkPolicy) {
      this.function.node.addDependency(this.networkPolicy);
    }
    if (options.aliasName !== undefined) {
      const version = this.function.currentVersion;
      const { aliasName } = options;
      this.alias = new Alias(this, 'Alias', { aliasName, version, ...EVENTS_ONCE });
    }
  }

  /** The section `lambda` of FLAME_AWS. */
  get settings(): { [name: string]: unknown } {
    return {
      region: Stack.of(this).region,
      function: this.function.functionArn,
      qualifier: this.options.aliasName,
      invocation: this.options.invocation,
    };
  }

  /** Whether parents send events, which Lambda queues. */
  get usesEvents(): boolean {
    return this.options.invocation === RunnerInvocation.EVENT;
  }

  private newRole(logGroup: ILogGroup, inVpc: boolean): IRole {
    const description = 'What the app may do in its runners on Lambda';
    const role = newFunctionRole(this, 'Role', logGroup, description);
    if (inVpc) {
      this.allowNetworkInterfaces(role);
    }
    return role;
  }

  /**
   * Allows Lambda to connect the function to the VPC. The second statement takes these permissions
   * from the function's code, whose requests have this key.
   */
  private allowNetworkInterfaces(role: Role): void {
    const all = { actions: NETWORK_INTERFACE_ACTIONS, resources: ['*'] };
    const isCode = { Null: { 'lambda:SourceFunctionArn': 'false' } };
    const policy = new Policy(this, 'NetworkInterfaces', {
      statements: [
        new PolicyStatement(all),
        new PolicyStatement({ ...all, effect: Effect.DENY, conditions: isCode }),
      ],
    });
    policy.attachToRole(role);
    this.networkPolicy = policy;
    Validations.of(policy).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'Lambda creates the network interfaces, so their ARNs are not known before.',
    });
  }
}
