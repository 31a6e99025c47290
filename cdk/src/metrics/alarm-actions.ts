import { Stack } from 'aws-cdk-lib';
import type { Alarm, IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { ITopic } from 'aws-cdk-lib/aws-sns';

/** What happens when an alarm goes off. */
export interface AlarmActions {
  /**
   * A topic that gets a message when an alarm goes off, and when it is over. Alarms of the account
   * are allowed to publish to it, and to use its key.
   * @default - no message
   */
  readonly topic?: ITopic;
  /**
   * Further actions when an alarm goes off.
   * @default - none
   */
  readonly actions?: IAlarmAction[];
}

/** Gives the actions to alarms. */
export function addActions(alarms: Alarm[], { topic, actions = [] }: AlarmActions): void {
  const [first] = alarms;
  if (first === undefined) {
    return;
  }
  if (topic) {
    // A topic with a policy of its own no longer has the default policy, which allows this.
    const condition = { StringEquals: { 'aws:SourceAccount': Stack.of(first).account } };
    topic.grantPublish(new ServicePrincipal('cloudwatch.amazonaws.com', { conditions: condition }));
  }
  for (const alarm of alarms) {
    if (topic) {
      alarm.addAlarmAction(new SnsAction(topic));
      alarm.addOkAction(new SnsAction(topic));
    }
    if (actions.length > 0) {
      alarm.addAlarmAction(...actions);
    }
  }
}
