import type { Duration } from 'aws-cdk-lib';
import type { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import type { AlarmActions } from './alarm-actions';

/**
 * The alarms of a pool. Each has a threshold with a default, and `false` leaves the alarm out. An
 * alarm whose description says "within 5 minutes" counts anew every 5 minutes.
 *
 * No alarm notices that no parent is running: watch the service of the parents for that.
 */
export interface FlamePoolAlarms extends AlarmActions {
  /**
   * How many boots must fail within 5 minutes. A few failed boots are repeated, and nobody notices.
   * @default 5
   */
  readonly bootFailures?: number | false;
  /**
   * How long the slowest hundredth of the calls must wait for a slot, during 10 minutes. The time
   * includes the boot that a call waits for, which takes up to a minute on Fargate.
   * @default Duration.minutes(2)
   */
  readonly queueWait?: Duration | false;
  /**
   * For how long runners must boot while no runner is up, in whole minutes.
   * @default Duration.minutes(5)
   */
  readonly stuckBoots?: Duration | false;
  /**
   * How many orphaned runners must be stopped within 5 minutes. A runner normally ends by itself
   * when its parent is gone, so each orphan is the sign of a fault, and has cost money.
   * @default 1
   */
  readonly orphans?: number | false;
  /**
   * How many boots must fail within 5 minutes because AWS throttled the requests. The pool repeats
   * throttled requests, so a boot fails only if the throttling lasts.
   * @default 1
   */
  readonly throttledBoots?: number | false;
  /**
   * How many clients must be refused within 5 minutes by all pools of the app. If the app has
   * several pools, leave the alarm to one of them.
   * @default 10
   */
  readonly refusedClients?: number | false;
  /**
   * How much of the account's quota of vCPUs on Fargate must be used, in percent. The tasks of the
   * whole account count, and Spot has a quota and an alarm of its own. Without runners on ECS there
   * is no alarm.
   * @default 80
   */
  readonly vcpuQuota?: number | false;
  /**
   * How many invocations of the runners' function must be throttled within 5 minutes. Without
   * runners on Lambda there is no alarm.
   * @default 1
   */
  readonly functionThrottles?: number | false;
}

/** The alarms that a pool has, to change or extend them. */
export interface CreatedAlarms {
  readonly bootFailures?: Alarm;
  readonly queueWait?: Alarm;
  readonly stuckBoots?: Alarm;
  readonly orphans?: Alarm;
  readonly throttledBoots?: Alarm;
  readonly refusedClients?: Alarm;
  readonly vcpuQuota?: Alarm;
  /** The alarm of `vcpuQuota` for Spot. */
  readonly spotVcpuQuota?: Alarm;
  readonly functionThrottles?: Alarm;
}
