import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { addActions } from './alarm-actions';
import type { CreatedAlarms, FlamePoolAlarms } from './alarm-options';
import type { MeteredPool } from './metered-pool';
import { type Platform, vcpuQuotas } from './platform';

/** The period of most alarms. Their descriptions and `FlamePoolAlarms` name it. */
const PERIOD = Duration.minutes(5);
const QUEUE_WAIT_PERIODS = 2;
const DEFAULT_QUEUE_WAIT = Duration.minutes(2);
const DEFAULT_STUCK_BOOTS = Duration.minutes(5);

/** What an alarm watches. */
interface Watched {
  readonly id: string;
  readonly metric: IMetric;
  /** The alarm goes off at this value. */
  readonly threshold: number;
  /** For how many periods the value must be that high. */
  readonly periods?: number;
  /** What has happened, and where to look. */
  readonly description: string;
}

/** The alarms of a pool: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html */
export class PoolAlarms extends Construct {
  readonly created: CreatedAlarms;
  /** The name of the pool. */
  private readonly name: string;

  constructor(
    private readonly pool: MeteredPool,
    private readonly options: FlamePoolAlarms,
    platform: Platform,
  ) {
    super(pool, 'Alarms');
    this.name = pool._series.names.pool;
    this.created = {
      bootFailures: this.bootFailures(),
      queueWait: this.queueWait(),
      stuckBoots: this.stuckBoots(),
      orphans: this.orphans(),
      throttledBoots: this.throttledBoots(),
      refusedClients: this.refusedClients(),
      ...this.vcpuQuotas(platform),
      functionThrottles: this.functionThrottles(platform),
    };
    addActions(this.all, options);
  }

  /** All alarms that exist. */
  get all(): Alarm[] {
    return Object.values(this.created).filter((alarm) => alarm !== undefined);
  }

  private bootFailures(): Alarm | undefined {
    const threshold = this.options.bootFailures ?? 5;
    return this.create(threshold, (threshold) => ({
      id: 'BootFailures',
      metric: this.pool.metricBootFailures(undefined, { period: PERIOD }),
      threshold,
      description:
        `${runners(threshold)} of the pool ${this.name} failed to boot within 5 minutes. The log of the ` +
        'parent has the reason of each failure, and says what to do. The metrics ' +
        'flame.boot.failures.* count the failures by reason.',
    }));
  }

  private queueWait(): Alarm | undefined {
    return this.create(this.options.queueWait ?? DEFAULT_QUEUE_WAIT, (wait) => ({
      id: 'QueueWait',
      metric: this.pool.metricCallDuration('queue', { period: PERIOD }),
      threshold: wait.toSeconds(),
      periods: QUEUE_WAIT_PERIODS,
      description:
        `One call in a hundred of the pool ${this.name} has waited for a slot for ${wait.toHumanString()} ` +
        'or more, during 10 minutes. Either boots fail or take long (flame.boot.failures.*, ' +
        'flame.boot.duration.*), or all runners that the pool may have are in use (flame.runners.*, ' +
        "flame.leases): then raise the pool's `max` or `max_concurrency`.",
    }));
  }

  private stuckBoots(): Alarm | undefined {
    return this.create(this.options.stuckBoots ?? DEFAULT_STUCK_BOOTS, (time) => {
      const period = Duration.minutes(1);
      const state = (name: 'booting' | 'active' | 'idle') =>
        this.pool.metricRunners(name, { statistic: Stats.MAXIMUM, period });
      return {
        id: 'StuckBoots',
        metric: new MathExpression({
          label: 'Boots without a runner',
          expression: 'booting > 0 AND (active + idle) == 0',
          usingMetrics: {
            booting: state('booting'),
            active: state('active'),
            idle: state('idle'),
          },
          period,
        }),
        threshold: 1,
        periods: time.toMinutes(),
        description:
          `Runners of the pool ${this.name} have been booting for ${time.toHumanString()}, and none is ` +
          'up. Look at the stopped tasks of the cluster, or at the log of the function: the image may ' +
          'be missing or too large, or the runners may not reach their parent.',
      };
    });
  }

  private orphans(): Alarm | undefined {
    return this.create(this.options.orphans ?? 1, (threshold) => ({
      id: 'Orphans',
      metric: this.pool.metricOrphansStopped({ period: PERIOD }),
      threshold,
      description:
        `${runners(threshold)} of the pool ${this.name} had outlived their parents, and were stopped. A ` +
        'runner ends by itself when its parent is gone, so these were hanging. The log of the parent ' +
        'names the tasks, and the log of the tasks shows what they did last.',
    }));
  }

  private throttledBoots(): Alarm | undefined {
    return this.create(this.options.throttledBoots ?? 1, (threshold) => ({
      id: 'ThrottledBoots',
      metric: this.pool.metricBootFailures('throttled', { period: PERIOD }),
      threshold,
      description:
        `${runners(threshold)} of the pool ${this.name} failed to boot within 5 minutes because AWS ` +
        'throttled the requests. Look for another program of the account that calls ECS or Lambda ' +
        "very often, lower the pool's `max`, or ask AWS for a higher rate.",
    }));
  }

  private refusedClients(): Alarm | undefined {
    return this.create(this.options.refusedClients ?? 10, (threshold) => ({
      id: 'RefusedClients',
      metric: this.pool.metricRefusedClients({ period: PERIOD }),
      threshold,
      description:
        `${threshold} or more clients have connected to the port of the pool ${this.name}, or of another ` +
        'pool of its app, within 5 minutes, and were not admitted as runners. If the log of the parent ' +
        'names another build, deploy the parent and the runners again. Otherwise check who can ' +
        'reach the port: only runners should.',
    }));
  }

  private vcpuQuotas(platform: Platform): CreatedAlarms {
    const alarms = vcpuQuotas(platform).map(({ spot, used }) => {
      const id = spot ? 'spotVcpuQuota' : 'vcpuQuota';
      const quota = spot ? 'Fargate Spot vCPU' : 'Fargate On-Demand vCPU';
      const alarm = this.create(this.options.vcpuQuota ?? 80, (threshold) => ({
        id: spot ? 'SpotVcpuQuota' : 'VcpuQuota',
        metric: used,
        threshold,
        description:
          `The tasks of this account use ${threshold} % or more of the quota "${quota} resource count" in ` +
          `this region. When it is used up, the pool ${this.name} can't boot runners on ECS. Ask for ` +
          'a higher quota in the console of Service Quotas, or stop other tasks.',
      }));
      return [id, alarm] as const;
    });
    return Object.fromEntries(alarms);
  }

  private functionThrottles(platform: Platform): Alarm | undefined {
    const runnerFunction = platform.function;
    return (
      runnerFunction &&
      this.create(this.options.functionThrottles ?? 1, (threshold) => ({
        id: 'FunctionThrottles',
        metric: runnerFunction.metricThrottles({ period: PERIOD }),
        threshold,
        description:
          `Lambda has throttled ${threshold} or more invocations of the runners of the pool ${this.name} ` +
          "within 5 minutes. Raise the function's reserved concurrency or the account's, or lower the " +
          "pool's `max` or `burst_max`.",
      }))
    );
  }

  /** Creates an alarm, unless its threshold is `false`. */
  private create<Threshold>(
    threshold: Threshold | false,
    watched: (threshold: Threshold) => Watched,
  ): Alarm | undefined {
    if (threshold === false) {
      return undefined;
    }
    const { id, periods, description, ...rest } = watched(threshold);
    return new Alarm(this, id, {
      ...rest,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: periods ?? 1,
      alarmDescription: description,
      // Without events a parent sends no count, and without parents there is nothing to boot.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
  }
}

function runners(count: number): string {
  return count === 1 ? 'One or more runners' : `${count} or more runners`;
}
