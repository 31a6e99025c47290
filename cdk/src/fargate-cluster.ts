import { Validations } from 'aws-cdk-lib';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import { type CfnCluster, Cluster } from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';

/** A cluster for tasks on Fargate, with on-demand capacity and Spot. */
export function newFargateCluster(scope: Construct, vpc: IVpc): Cluster {
  const cluster = new Cluster(scope, 'Cluster', { vpc });
  // `enableFargateCapacityProviders` would add a resource of its own for this.
  const resource = cluster.node.defaultChild as CfnCluster;
  resource.capacityProviders = ['FARGATE', 'FARGATE_SPOT'];
  Validations.of(cluster).acknowledge({
    id: 'AwsSolutions-ECS4',
    reason: 'Container Insights costs extra for each task; an account can enable it by default.',
  });
  return cluster;
}
