import { Duration } from 'aws-cdk-lib';
import { AdjustmentType } from 'aws-cdk-lib/aws-applicationautoscaling';
import { type IMetric, MathExpression, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { NetworkLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { RelayEndpoint } from './endpoint';

/**
 * Adds nodes behind each endpoint when there are more connections.
 *
 * A parent that opens a socket for a runner must reach the node at which the runner waits. At
 * the load balancer it may get another node of the endpoint, so all parents must be able to reach
 * the private addresses of the nodes: they run in the VPC, or in a network that is connected to it.
 */
export interface RelayScaling {
  /** The most nodes behind each endpoint. */
  readonly maxNodes: number;
  /**
   * The number of connections through the load balancer for which a node is added.
   * @default 20000
   */
  readonly connectionsPerNode?: number;
}

const DEFAULT_CONNECTIONS = 20_000;
const TARGET_CPU = 60;
/** A node is removed when the others would be used to about half. */
const SCALE_IN_AT = 0.3;

/**
 * Scales the services of all endpoints by the connections of the load balancer, and by their CPU.
 */
export function scaleEndpoints(
  endpoints: RelayEndpoint[],
  loadBalancer: NetworkLoadBalancer,
  scaling: RelayScaling,
): void {
  const perNode = scaling.connectionsPerNode ?? DEFAULT_CONNECTIONS;
  const connections = connectionsPerNode(endpoints, loadBalancer);
  for (const { service } of endpoints) {
    const tasks = service.autoScaleTaskCount({ minCapacity: 1, maxCapacity: scaling.maxNodes });
    tasks.scaleOnMetric('Connections', {
      metric: connections,
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      scalingSteps: [
        { upper: perNode * SCALE_IN_AT, change: -1 },
        { lower: perNode, change: +1 },
        { lower: perNode * 2, change: +2 },
      ],
      evaluationPeriods: 2,
      cooldown: Duration.minutes(3),
    });
    // Runners and parents in the VPC connect to the nodes directly.
    tasks.scaleOnCpuUtilization('Cpu', {
      targetUtilizationPercent: TARGET_CPU,
      scaleInCooldown: Duration.minutes(5),
      scaleOutCooldown: Duration.minutes(1),
    });
  }
}

/** CloudWatch counts the connections of a load balancer, but not those of a target group. */
function connectionsPerNode(
  endpoints: RelayEndpoint[],
  loadBalancer: NetworkLoadBalancer,
): MathExpression {
  const counts = endpoints.map(({ targetGroup }, index): [string, IMetric] => [
    `nodes${index + 1}`,
    targetGroup.metrics.healthyHostCount({ statistic: Stats.MINIMUM }),
  ]);
  const flows = loadBalancer.metrics.activeFlowCount({ statistic: Stats.SUM });
  return new MathExpression({
    label: 'Connections per node',
    expression: `flows / (${counts.map(([name]) => name).join(' + ')})`,
    usingMetrics: { flows, ...Object.fromEntries(counts) },
    period: Duration.minutes(1),
  });
}
