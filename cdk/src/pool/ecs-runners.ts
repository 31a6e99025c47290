import { ArnFormat, Duration, Size, Stack, Validations } from 'aws-cdk-lib';
import {
  AwsLogDriverMode,
  type ContainerDefinition,
  type ContainerImage,
  FargateTaskDefinition,
  type ICluster,
  LogDrivers,
  OperatingSystemFamily,
} from 'aws-cdk-lib/aws-ecs';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledgedExecutionRole } from '../execution-role';
import { newFargateCluster } from '../fargate-cluster';
import { newTaskRole } from '../task-role';
import { type EcsRunnersOptions, FargateCapacity } from './ecs-options';
import type { RunnersNetwork } from './network';
import { type RunnersContext, runnersLogGroup } from './runners-context';

export const DEFAULT_CPU = 1_024;
export const DEFAULT_MEMORY = Size.gibibytes(2);
export const MAX_STOP_TIMEOUT = Duration.seconds(120);

/** The container of a new task definition. */
const CONTAINER = 'runner';
/** The only folder that a container can write to. */
const WRITABLE_FOLDER = '/tmp';
/** How much of the log ECS keeps for a log service that can't keep up. */
const LOG_BUFFER = Size.mebibytes(25);

/** The part of a pool whose runners are Fargate tasks. */
export class EcsRunners extends Construct {
  readonly cluster: ICluster;
  readonly taskDefinition: FargateTaskDefinition;
  readonly container: ContainerDefinition;
  /** How parents name the task definition. */
  readonly taskDefinitionName: string;

  constructor(
    scope: Construct,
    id: string,
    private readonly options: EcsRunnersOptions,
    context: RunnersContext,
    private readonly network: RunnersNetwork,
  ) {
    super(scope, id);
    this.cluster = options.cluster ?? newFargateCluster(this, network.vpc);
    const taken = options.taskDefinition;
    this.taskDefinition = taken ?? this.newTaskDefinition(context);
    // If the parent has this task definition as well, its environment can't contain the ARN.
    this.taskDefinitionName = taken?.family ?? this.taskDefinition.taskDefinitionArn;
    this.container = taken ? containerOf(options, taken) : this.newContainer(context);
    if (options.enableExecuteCommand) {
      allowShells(this.taskDefinition);
    }
  }

  /** The roles that parents pass to ECS. */
  get roles(): IRole[] {
    return [this.taskDefinition.taskRole, this.taskDefinition.obtainExecutionRole()];
  }

  /** The ARN of the log streams of its tasks, if they log to CloudWatch Logs. */
  get logStreams(): string | undefined {
    const { logDriver, options } = this.container.logDriverConfig ?? {};
    const group = options?.['awslogs-group'];
    if (logDriver !== 'awslogs' || group === undefined) {
      return undefined;
    }
    const prefix = options?.['awslogs-stream-prefix'];
    return Stack.of(this).formatArn({
      service: 'logs',
      region: options?.['awslogs-region'],
      resource: 'log-group',
      resourceName: `${group}:log-stream:${prefix}/${this.container.containerName}/*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  }

  /** The section `ecs` of FLAME_AWS. */
  get settings(): { [name: string]: unknown } {
    return {
      region: Stack.of(this).region,
      cluster: this.cluster.clusterArn,
      taskDefinition: this.taskDefinitionName,
      container: this.container.containerName,
      subnets: this.network.subnets.subnetIds,
      securityGroups: [this.network.securityGroup.securityGroupId],
      assignPublicIp: this.options.assignPublicIp ?? this.network.subnets.hasPublic,
      enableExecuteCommand: this.options.enableExecuteCommand,
      capacityProvider: capacityProviders(this.options.capacity),
    };
  }

  private newTaskDefinition(context: RunnersContext): FargateTaskDefinition {
    const { options } = this;
    return new FargateTaskDefinition(this, 'TaskDefinition', {
      cpu: options.cpu ?? DEFAULT_CPU,
      memoryLimitMiB: (options.memory ?? DEFAULT_MEMORY).toMebibytes(),
      ephemeralStorageGiB: options.ephemeralStorage?.toGibibytes(),
      runtimePlatform: {
        cpuArchitecture: context.architecture,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole: options.taskRole ?? newTaskRole(this, 'What the app may do in its runners on ECS'),
      executionRole: options.executionRole,
    });
  }

  private newContainer(context: RunnersContext): ContainerDefinition {
    const { options } = this;
    const readOnly = options.readonlyRootFilesystem ?? !options.enableExecuteCommand;
    const code = options.code ?? context.code;
    const container = this.taskDefinition.addContainer(CONTAINER, {
      // The checks of the props reject code that ECS can't run.
      image: code._imageForEcs(context.architecture) as ContainerImage,
      essential: true,
      stopTimeout: options.stopTimeout ?? MAX_STOP_TIMEOUT,
      readonlyRootFilesystem: readOnly,
      environment: context.environment,
      secrets: options.secrets,
      logging: LogDrivers.awsLogs({
        streamPrefix: CONTAINER,
        logGroup: runnersLogGroup(this, options.logGroup, context),
        // A runner that can't print could not serve its parent.
        mode: AwsLogDriverMode.NON_BLOCKING,
        maxBufferSize: LOG_BUFFER,
      }),
    });
    if (!options.executionRole) {
      acknowledgedExecutionRole(this.taskDefinition);
    }
    if (readOnly) {
      this.taskDefinition.addVolume({ name: 'tmp' });
      container.addMountPoints({
        sourceVolume: 'tmp',
        containerPath: WRITABLE_FOLDER,
        readOnly: false,
      });
    }
    return container;
  }
}

/**
 * Lets Systems Manager open shells in tasks (AWS documentation, "Task IAM role permissions" of ECS
 * Exec). These actions have no resources.
 */
function allowShells(taskDefinition: FargateTaskDefinition): void {
  const statement = new PolicyStatement({
    actions: [
      'CreateControlChannel',
      'CreateDataChannel',
      'OpenControlChannel',
      'OpenDataChannel',
    ].map((action) => `ssmmessages:${action}`),
    resources: ['*'],
  });
  taskDefinition.addToTaskRolePolicy(statement);
  Validations.of(taskDefinition.taskRole).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'The actions of ssmmessages that open a shell have no resources.',
  });
}

/** The container of a task definition that is the runner. The checks of the props have found it. */
function containerOf(options: EcsRunnersOptions, taken: FargateTaskDefinition) {
  const name = options.containerName;
  return (name ? taken.findContainer(name) : taken.defaultContainer) as ContainerDefinition;
}

/** The setting `capacityProvider`: the providers in the order of their weights. */
function capacityProviders(capacity: FargateCapacity | undefined): string | undefined {
  switch (capacity) {
    case FargateCapacity.SPOT:
      return 'FARGATE_SPOT=1';
    case FargateCapacity.SPOT_FIRST:
      return 'FARGATE_SPOT=1,FARGATE=0';
    default:
      return undefined;
  }
}
