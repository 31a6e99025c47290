import type { Duration, Size } from 'aws-cdk-lib';
import type { FargateTaskDefinition, ICluster, Secret } from 'aws-cdk-lib/aws-ecs';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { RunnerCode } from './runner-code';

/** The capacity on which Fargate runs tasks. */
export enum FargateCapacity {
  /** The launch type FARGATE. */
  ON_DEMAND = 'ON_DEMAND',
  /** Spot, and on-demand capacity for tasks that Spot has no capacity for. */
  SPOT_FIRST = 'SPOT_FIRST',
  /** Spot only. */
  SPOT = 'SPOT',
}

/** Runners that are tasks on Fargate. */
export interface EcsRunnersOptions {
  /**
   * The cluster in which runners run. For Spot it needs the capacity providers FARGATE and
   * FARGATE_SPOT.
   * @default - a new cluster
   */
  readonly cluster?: ICluster;
  /**
   * The code of the runners on ECS, if it differs from that of the pool.
   * @default - the pool's `code`
   */
  readonly code?: RunnerCode;
  /**
   * A task definition of your own, for example that of the parent. Its container is essential,
   * starts the app or the generic runner, and has a `stopTimeout` of 120 s. The options of this
   * interface that describe a task then can't be set, and the pool's `environment` has no effect on
   * it. Parents use the latest revision of its family.
   * @default - a new task definition
   */
  readonly taskDefinition?: FargateTaskDefinition;
  /**
   * The container of `taskDefinition` that is the runner.
   * @default - its default container
   */
  readonly containerName?: string;
  /**
   * The CPU units of a task; 1024 are one vCPU.
   * @default 1024
   */
  readonly cpu?: number;
  /**
   * The memory of a task.
   * @default Size.gibibytes(2)
   */
  readonly memory?: Size;
  /**
   * The disk of a task, from 21 to 200 GiB.
   * @default - 20 GiB
   */
  readonly ephemeralStorage?: Size;
  /**
   * On-demand capacity, or Spot.
   * @default FargateCapacity.ON_DEMAND
   */
  readonly capacity?: FargateCapacity;
  /**
   * The time from SIGTERM to SIGKILL when a task is stopped, at most 120 s.
   * @default Duration.seconds(120)
   */
  readonly stopTimeout?: Duration;
  /**
   * Whether the container may write only to `/tmp`. If the image has a user other than root, its
   * Dockerfile must declare a volume `/tmp` that this user can write to.
   * @default - true, unless `enableExecuteCommand` is set
   */
  readonly readonlyRootFilesystem?: boolean;
  /**
   * Whether tasks get public addresses. Public subnets need it, because Fargate can't pull the
   * image otherwise.
   * @default - true if the pool's subnets are public
   */
  readonly assignPublicIp?: boolean;
  /**
   * Whether a person may open a shell in a runner, by `aws ecs execute-command`. The tasks' role then
   * may open the channels of Systems Manager, and the root filesystem is not read-only, as ECS
   * requires.
   * @default false
   */
  readonly enableExecuteCommand?: boolean;
  /**
   * The role that the app has on ECS. flame-aws itself needs no permission.
   * @default - a new role without permissions
   */
  readonly taskRole?: IRole;
  /**
   * The role with which ECS pulls the image and writes the log.
   * @default - a new role with these permissions only
   */
  readonly executionRole?: IRole;
  /**
   * Variables that contain values of Secrets Manager or of the Parameter Store.
   * @default - none
   */
  readonly secrets?: { [name: string]: Secret };
  /**
   * The log group of the tasks.
   * @default - a new log group
   */
  readonly logGroup?: ILogGroup;
}
