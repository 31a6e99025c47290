import { MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { FargateCapacity } from '../pool/ecs-options';

/** What the runners of a pool run on. */
export interface Platform {
  /** The capacity of the runners on ECS, if there are any. */
  readonly capacity?: FargateCapacity;
  /** The function of the runners on Lambda, if there are any. */
  readonly function?: IFunction;
}

/** A quota of vCPUs on Fargate. */
export interface VcpuQuota {
  readonly spot: boolean;
  /** How much of the quota is used, in percent. */
  readonly used: MathExpression;
}

/** The quotas of vCPUs that limit the runners of a pool. */
export function vcpuQuotas({ capacity }: Platform): VcpuQuota[] {
  switch (capacity) {
    case undefined:
      return [];
    case FargateCapacity.SPOT:
      return [vcpuQuota(true)];
    case FargateCapacity.SPOT_FIRST:
      return [vcpuQuota(false), vcpuQuota(true)];
    default:
      return [vcpuQuota(false)];
  }
}

/**
 * The metric: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html
 * The expression:
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Quotas-Visualize-Alarms.html
 */
function vcpuQuota(spot: boolean): VcpuQuota {
  const kind = spot ? 'Spot' : 'OnDemand';
  const id = `vcpus_${kind.toLowerCase()}`;
  const vcpus = new Metric({
    namespace: 'AWS/Usage',
    metricName: 'ResourceCount',
    dimensionsMap: {
      Service: 'Fargate',
      Type: 'Resource',
      Resource: 'vCPU',
      Class: `Standard/${kind}`,
    },
    statistic: Stats.MAXIMUM,
  });
  const used = new MathExpression({
    expression: `100 * ${id} / SERVICE_QUOTA(${id})`,
    usingMetrics: { [id]: vcpus },
    label: spot ? 'vCPUs on Spot' : 'vCPUs on demand',
  });
  return { spot, used };
}
