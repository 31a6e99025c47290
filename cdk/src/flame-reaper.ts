import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import { CpuArchitecture, type ICluster } from 'aws-cdk-lib/aws-ecs';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as FunctionTarget } from 'aws-cdk-lib/aws-events-targets';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { EVENTS_ONCE, newFunctionRole } from './function-role';
import { lambdaArchitecture } from './pool/architecture';
import { acknowledgeWildcards } from './pool/parent-findings';
import { grantStatements, inCluster, type Statement, tasksOf } from './pool/parent-grants';
import { Problems } from './problems';
import {
  checkReaperProps,
  DEFAULT_INTERVAL,
  DEFAULT_MIN_AGE,
  DEFAULT_PAUSE,
  timeoutFor,
} from './reaper/checks';

/** The props of a `FlameReaper`. */
export interface FlameReaperProps {
  /** The cluster whose orphaned runners the function stops, for example `pool.cluster`. */
  readonly cluster: ICluster;
  /**
   * A zip file, or a folder, with the program `flame-reaper` as `bootstrap`, static and for
   * `cpuArchitecture`. The page of `flame-reaper` says how to build it.
   */
  readonly bootstrap: string;
  /**
   * Other clusters in which parents run, if parents are ECS tasks. The function looks up there
   * whether a parent has stopped.
   * @default - parents run in `cluster`, or are not ECS tasks
   */
  readonly parentClusters?: ICluster[];
  /**
   * The processor of the function.
   * @default CpuArchitecture.X86_64
   */
  readonly cpuArchitecture?: CpuArchitecture;
  /**
   * The time between two searches: whole minutes, at most a day, and at least `pause` and a minute.
   * @default Duration.minutes(15)
   */
  readonly interval?: Duration;
  /**
   * The minimum age of a task that is stopped, at most 7 days. It must be longer than the boots of
   * all pools may take.
   * @default Duration.minutes(10)
   */
  readonly minAge?: Duration;
  /**
   * The time between the two looks of a search, at most 10 minutes.
   * @default Duration.minutes(1)
   */
  readonly pause?: Duration;
  /**
   * How long the log of the function is kept.
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;
  /**
   * Whether the log stays when the stack is deleted.
   * @default RemovalPolicy.DESTROY
   */
  readonly removalPolicy?: RemovalPolicy;
}

/**
 * Stops the orphaned runners of a cluster on a schedule: tasks of pools that are gone, which would
 * run and cost money indefinitely. Each pool stops its own orphans while it lives.
 *
 * ```ts
 * new FlameReaper(this, 'Reaper', { cluster, bootstrap: 'reaper.zip' });
 * ```
 *
 * It is a Lambda function with the program `flame-reaper`. An invocation that fails is not
 * repeated, because the next one does what it did not do. `function.metricErrors()` counts
 * failures.
 */
export class FlameReaper extends Construct {
  /** The function that stops the tasks. */
  readonly function: LambdaFunction;
  /** The schedule that invokes the function. */
  readonly schedule: Rule;

  constructor(scope: Construct, id: string, props: FlameReaperProps) {
    super(scope, id);
    const problems = new Problems();
    checkReaperProps(props, problems);
    problems.throwFor(this);

    const { cluster } = props;
    const pause = props.pause ?? DEFAULT_PAUSE;
    const logGroup = new LogGroup(this, 'Log', {
      retention: props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: props.removalPolicy ?? RemovalPolicy.DESTROY,
    });
    const role = newFunctionRole(this, 'Role', logGroup, 'Stops orphaned runners of flame-aws');
    // No concurrency is reserved for it, which a new account does not allow. EventBridge may
    // deliver an event twice; two searches at a time do no harm, since StopTask is idempotent.
    this.function = new LambdaFunction(this, 'Function', {
      description: 'Stops orphaned runners of flame-aws',
      code: Code.fromAsset(props.bootstrap),
      runtime: Runtime.PROVIDED_AL2023,
      handler: 'bootstrap',
      architecture: lambdaArchitecture(props.cpuArchitecture ?? CpuArchitecture.X86_64),
      timeout: timeoutFor(pause),
      memorySize: 128,
      environment: {
        FLAME_REAPER_CLUSTER: cluster.clusterArn,
        FLAME_REAPER_MIN_AGE_SECONDS: `${(props.minAge ?? DEFAULT_MIN_AGE).toSeconds()}`,
        FLAME_REAPER_PAUSE_SECONDS: `${pause.toSeconds()}`,
      },
      role,
      logGroup,
      ...EVENTS_ONCE,
    });
    const statements = this.statements(cluster, props.parentClusters ?? []);
    // The function must not be invoked before it has its permissions.
    grantStatements(role, statements).applyBefore(this.function);
    acknowledgeWildcards(
      role,
      statements,
      'AWS has no resource for ecs:ListTasks, and any task of the cluster may be an orphan.',
    );
    this.schedule = new Rule(this, 'Schedule', {
      description: 'Looks for orphaned runners of flame-aws',
      schedule: Schedule.rate(props.interval ?? DEFAULT_INTERVAL),
      targets: [new FunctionTarget(this.function, EVENTS_ONCE)],
    });
  }

  /** The statements on the page of `flame-reaper`, `control/reaper/README.md`. */
  private statements(cluster: ICluster, parentClusters: ICluster[]): Statement[] {
    const conditions = inCluster(cluster);
    const tasks = tasksOf(this, cluster);
    const others = parentClusters.filter((other) => other !== cluster);
    const parents = others.map((other) => tasksOf(this, other));
    return [
      { actions: ['ecs:ListTasks'], resources: ['*'], conditions },
      { actions: ['ecs:DescribeTasks', 'ecs:StopTask'], resources: [tasks] },
      ...(parents.length > 0 ? [{ actions: ['ecs:DescribeTasks'], resources: parents }] : []),
    ];
  }
}
