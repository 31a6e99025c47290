import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type Metric,
  type MetricOptions,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { type AlarmActions, addActions } from '../metrics/alarm-actions';
import type { RelayEndpoint } from './endpoint';

/** ECS replaces a node in less time. */
const MINUTES = 5;

/**
 * The healthy nodes behind an endpoint, as the zone of the load balancer that sees most of them
 * counts them: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
 */
export function healthyNodes({ targetGroup }: RelayEndpoint, options?: MetricOptions): Metric {
  return targetGroup.metrics.healthyHostCount({ statistic: Stats.MAXIMUM, ...options });
}

/** Creates an alarm for each endpoint, which goes off when it has no healthy node. */
export function alarmWithoutNodes(
  endpoints: RelayEndpoint[],
  domainName: string,
  actions: AlarmActions,
): Alarm[] {
  const alarms = endpoints.map((endpoint) => {
    const alarm = new Alarm(endpoint, 'NoHealthyNode', {
      metric: healthyNodes(endpoint, { period: Duration.minutes(1) }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: MINUTES,
      // CloudWatch gets a count only while the endpoint has a node, healthy or not.
      treatMissingData: TreatMissingData.BREACHING,
      alarmDescription:
        `The endpoint ${endpoint.port} of the relay ${domainName} has had no healthy node for ${MINUTES} ` +
        'minutes, so no parent can connect to it. Look at the events of its service in ECS, and at ' +
        'the log of its last task.',
    });
    // Before there is a node, the alarm would go off.
    alarm.node.addDependency(endpoint.service);
    return alarm;
  });
  addActions(alarms, actions);
  return alarms;
}
