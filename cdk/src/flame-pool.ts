import { RemovalPolicy } from 'aws-cdk-lib';
import type { Dashboard } from 'aws-cdk-lib/aws-cloudwatch';
import {
  Connections,
  type IConnectable,
  type IVpc,
  Port,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import { CpuArchitecture, type FargateTaskDefinition, type ICluster } from 'aws-cdk-lib/aws-ecs';
import type { Grant, IGrantable, IPrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct, IConstruct } from 'constructs';
import type { FlameRelay } from './flame-relay';
import type { CreatedAlarms, FlamePoolAlarms } from './metrics/alarm-options';
import { PoolAlarms } from './metrics/alarms';
import { type FlamePoolDashboard, newDashboard } from './metrics/dashboard';
import { MeteredPool } from './metrics/metered-pool';
import type { PoolMetricsOptions } from './metrics/options';
import { checkPoolProps } from './pool/checks';
import type { CodeStore } from './pool/code-store';
import { type EcsRunnersOptions, FargateCapacity } from './pool/ecs-options';
import { EcsRunners } from './pool/ecs-runners';
import { flameAws } from './pool/environment';
import type { LambdaRunnersOptions } from './pool/lambda-options';
import { LambdaRunners } from './pool/lambda-runners';
import { poolSubnets, poolVpc, type RunnersNetwork, runnersSecurityGroup } from './pool/network';
import { acknowledgeWildcards, PARENT_WILDCARDS } from './pool/parent-findings';
import {
  codeStoreStatements,
  ecsStatements,
  grantStatements,
  lambdaStatements,
  metricsStatements,
  type Statement,
} from './pool/parent-grants';
import { RunnerCode } from './pool/runner-code';
import { RunnersPrincipal } from './pool/runners-principal';
import { Problems } from './problems';

/** The props of a `FlamePool`. */
export interface FlamePoolProps {
  /**
   * The code of the runners.
   * @default RunnerCode.generic()
   */
  readonly code?: RunnerCode;
  /**
   * Boots runners as tasks on Fargate. Together with `lambda`, the app can use both backends, for
   * example with a burst to Lambda.
   * @default - tasks with the default options, unless `lambda` is set
   */
  readonly ecs?: EcsRunnersOptions;
  /**
   * Boots runners as invocations of a Lambda function.
   * @default - no function
   */
  readonly lambda?: LambdaRunnersOptions;
  /**
   * The VPC of the runners.
   * @default - the VPC of `ecs.cluster` or of `relay`, or a new one with two availability zones and
   * a NAT gateway
   */
  readonly vpc?: IVpc;
  /**
   * The subnets of the runners. In several availability zones, Fargate is more likely to have
   * capacity.
   * @default - the private subnets, or if there are none, the public ones
   */
  readonly vpcSubnets?: SubnetSelection;
  /**
   * The processor of the runners. It must be that of the parent.
   * @default CpuArchitecture.X86_64
   */
  readonly cpuArchitecture?: CpuArchitecture;
  /**
   * The port on which the app's pool listens.
   * @default 4100
   */
  readonly port?: number;
  /**
   * Whether runners may open connections to all addresses. Otherwise they may open them to port
   * 443, and wherever `connections` and `allowRunnersTo` say.
   * @default false
   */
  readonly allowAllOutbound?: boolean;
  /**
   * A folder of a bucket through which the parent gives its executable to generic runners.
   * @default - runners download it from the parent itself
   */
  readonly codeStore?: CodeStore;
  /**
   * The relay through which the runners connect to their parents. `environmentForParent` and
   * `grantParent` then include what parents need for the relay.
   * @default - runners connect to their parents directly: see `allowRunnersTo`
   */
  readonly relay?: FlameRelay;
  /**
   * Environment variables of all runners. Do not put secrets here.
   * @default - none
   */
  readonly environment?: { [name: string]: string };
  /**
   * How long the new log groups keep the log of the runners.
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;
  /**
   * Whether the new log groups stay when the stack is deleted.
   * @default RemovalPolicy.DESTROY
   */
  readonly removalPolicy?: RemovalPolicy;
  /**
   * The names under which the app sends the metrics of the pool to CloudWatch. `grantParent` then
   * allows parents to send them.
   * @default - the app sends no metrics to CloudWatch
   */
  readonly metrics?: PoolMetricsOptions;
  /**
   * Alarms on the metrics of the pool, which needs `metrics`. `{}` creates all of them.
   * @default - none
   */
  readonly alarms?: FlamePoolAlarms;
  /**
   * A dashboard with the metrics of the pool, which needs `metrics`.
   * @default - none
   */
  readonly dashboard?: FlamePoolDashboard;
}

/** Options of `FlamePool.grantParent`. */
export interface ParentGrantOptions {
  /**
   * The cluster in which the parent runs, if it is an ECS task in another cluster than the runners.
   * The library looks parents up there, to find runners whose parents are gone.
   * @default - the cluster of the runners, or the parent is not an ECS task
   */
  readonly cluster?: ICluster;
}

/**
 * What a pool of flame-aws needs on AWS: a task definition, a function, or both, from which the app
 * boots its runners.
 *
 * ```ts
 * const pool = new FlamePool(this, 'Pool', { vpc, ecs: {}, lambda: {} });
 * pool.grantParent(service.taskDefinition.taskRole);
 * pool.allowRunnersTo(service);
 * for (const [name, value] of Object.entries(pool.environmentForParent())) {
 *   container.addEnvironment(name, value);
 * }
 * ```
 *
 * As an `IGrantable` it stands for its runners: `bucket.grantRead(pool)`.
 */
export class FlamePool extends MeteredPool implements IConnectable, IGrantable {
  /** The connections of the runners. Runners accept none. */
  readonly connections: Connections;
  /** The roles of the runners. */
  readonly grantPrincipal: IPrincipal;
  /** The port on which the app's pool listens. */
  readonly port: number;
  /** The VPC of the runners. Undefined if there are only runners on Lambda, outside of any VPC. */
  readonly vpc?: IVpc;
  /** The alarms that `alarms` has created. */
  readonly alarms: CreatedAlarms;
  /** The dashboard that `dashboard` has created. */
  readonly dashboard?: Dashboard;
  private readonly ecsRunners?: EcsRunners;
  private readonly lambdaRunners?: LambdaRunners;
  private readonly codeStore?: CodeStore;
  private readonly relay?: FlameRelay;

  constructor(scope: Construct, id: string, props: FlamePoolProps = {}) {
    super(scope, id, props.metrics);
    const { lambda } = props;
    const ecs = props.ecs ?? (lambda ? undefined : {});
    const code = props.code ?? RunnerCode.generic();
    const problems = new Problems();
    checkPoolProps({ ...props, ecs }, code, problems);
    problems.throwFor(this);

    this.port = props.port ?? 4100;
    this.codeStore = props.codeStore;
    this.relay = props.relay;
    const context = {
      code,
      architecture: props.cpuArchitecture ?? CpuArchitecture.X86_64,
      environment: props.environment ?? {},
      logRetention: props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: props.removalPolicy ?? RemovalPolicy.DESTROY,
    };
    const lambdaInVpc = lambda !== undefined && lambda.outsideVpc !== true;
    const network = ecs || lambdaInVpc ? this.newNetwork(props) : undefined;
    this.vpc = network?.vpc;
    this.connections = new Connections({
      securityGroups: network && [network.securityGroup],
      defaultPort: Port.tcp(this.port),
    });
    if (network && this.relay) {
      this.connections.allowToDefaultPort(this.relay, 'Runners to the relay');
    }
    if (ecs && network) {
      this.ecsRunners = new EcsRunners(this, 'Ecs', ecs, context, network);
    }
    if (lambda) {
      const inside = lambdaInVpc ? network : undefined;
      this.lambdaRunners = new LambdaRunners(this, 'Lambda', lambda, context, inside);
    }
    const roles = [this.ecsRunners?.taskDefinition.taskRole, this.lambdaRunners?.function.role];
    this.grantPrincipal = new RunnersPrincipal(roles.filter((role) => role !== undefined));

    const platform = {
      capacity: ecs && (ecs.capacity ?? FargateCapacity.ON_DEMAND),
      function: this.runnerFunction,
    };
    const alarms = props.alarms && new PoolAlarms(this, props.alarms, platform);
    this.alarms = alarms?.created ?? {};
    if (props.dashboard) {
      this.dashboard = newDashboard(this, props.dashboard, alarms?.all ?? [], platform);
    }
  }

  /** The cluster of the runners on ECS. */
  get cluster(): ICluster | undefined {
    return this.ecsRunners?.cluster;
  }

  /** The task definition of the runners on ECS. */
  get taskDefinition(): FargateTaskDefinition | undefined {
    return this.ecsRunners?.taskDefinition;
  }

  /** The function whose invocations are runners. */
  get runnerFunction(): LambdaFunction | undefined {
    return this.lambdaRunners?.function;
  }

  /**
   * Lets the runners connect to a parent, on the pool's port. The parent must have security groups:
   * a service, a function in a VPC, an instance.
   */
  allowRunnersTo(parent: IConnectable): void {
    // The rules are then in the parent's stack, which depends on the pool's stack anyway.
    parent.connections.allowFrom(this, Port.tcp(this.port), 'Runners to their parent');
  }

  /**
   * Allows a parent to boot, watch and stop runners and to send their metrics, and nothing else. For a person, give a
   * `ManagedPolicy` and attach it to the person's role.
   */
  grantParent(grantee: IGrantable, options: ParentGrantOptions = {}): Grant {
    const grant = grantStatements(grantee, this.parentStatements(options));
    return this.relay ? grant.combine(this.relay.grantParent(grantee)) : grant;
  }

  /**
   * Tells cdk-nag why the statements of `grantParent` have wildcards. Without cdk-nag it has no
   * effect. `parent` is the role or policy that has been given to `grantParent`.
   */
  acknowledgeParent(parent: IConstruct, options: ParentGrantOptions = {}): void {
    acknowledgeWildcards(parent, this.parentStatements(options), PARENT_WILDCARDS);
  }

  /**
   * The environment variables of a parent: `FLAME_AWS`, with all settings of the backends, and with
   * a relay `FLAME_RELAY_URL`. They contain no secret.
   */
  environmentForParent(): { [name: string]: string } {
    const backends = { ecs: this.ecsRunners, lambda: this.lambdaRunners };
    return { FLAME_AWS: flameAws(this, backends), ...this.relay?.environmentForParent() };
  }

  private newNetwork(props: FlamePoolProps): RunnersNetwork {
    const vpc = poolVpc(this, props);
    const subnets = poolSubnets(this, vpc, props);
    const securityGroup = runnersSecurityGroup(this, vpc, props.allowAllOutbound ?? false);
    return { vpc, vpcSubnets: props.vpcSubnets, subnets, securityGroup };
  }

  private parentStatements(options: ParentGrantOptions): Statement[] {
    return [
      ...(this.ecsRunners ? ecsStatements(this.ecsRunners, options.cluster) : []),
      ...(this.lambdaRunners ? lambdaStatements(this.lambdaRunners) : []),
      ...(this.codeStore ? codeStoreStatements(this.codeStore) : []),
      ...(this.metrics ? metricsStatements(this.metrics) : []),
    ];
  }
}
