import { CfnOutput, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { FlowLogDestination, SecurityGroup, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import {
  type CfnCluster,
  Cluster,
  ContainerImage,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
} from 'aws-cdk-lib/aws-ecs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { FargateCapacity, FlamePool, FlameReaper, RunnerCode } from '../../src';

/**
 * A web service on Fargate with one pool. Its runners are copies of the service: tasks on Spot, and
 * invocations of Lambda while Fargate boots.
 *
 * The image of the service is in ECR. `cdk deploy -c tag=1.2.3` deploys another version,
 * `-c repository=hello` another service, and `-c reaper=reaper.zip` a function that stops the
 * runners of a service that is gone.
 */
export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const tag: string = this.node.tryGetContext('tag') ?? 'latest';
    const name: string = this.node.tryGetContext('repository') ?? 'thumbs';
    const repository = Repository.fromRepositoryName(this, 'Repository', name);

    const vpc = new Vpc(this, 'Vpc', { maxAzs: 2, natGateways: 1 });
    vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs() });
    const cluster = new Cluster(this, 'Cluster', { vpc });
    (cluster.node.defaultChild as CfnCluster).capacityProviders = ['FARGATE', 'FARGATE_SPOT'];

    // Subscribe the people who are on call: `topic.addSubscription(new EmailSubscription(..))`.
    const topic = new Topic(this, 'Alarms', { enforceSSL: true });
    const pool = new FlamePool(this, 'Pool', {
      code: RunnerCode.fromEcr(repository, tag),
      ecs: { cluster, capacity: FargateCapacity.SPOT_FIRST },
      lambda: {},
      // The app has `CloudWatch::new("thumbnails")` and `Pool::builder("thumbs")`.
      metrics: { app: 'thumbnails', pool: 'thumbs' },
      alarms: { topic },
      dashboard: {},
    });

    // The parent: an ordinary service.
    const taskDefinition = new FargateTaskDefinition(this, 'Service', {
      cpu: 512,
      memoryLimitMiB: 1_024,
    });
    const logGroup = new LogGroup(this, 'Log', { retention: RetentionDays.ONE_MONTH });
    taskDefinition.addContainer('service', {
      image: ContainerImage.fromEcrRepository(repository, tag),
      environment: pool.environmentForParent(),
      portMappings: [{ containerPort: 8080 }],
      logging: LogDrivers.awsLogs({ streamPrefix: 'service', logGroup }),
    });
    const securityGroup = new SecurityGroup(this, 'ServiceSecurityGroup', { vpc });
    const service = new FargateService(this, 'FargateService', {
      cluster,
      taskDefinition,
      securityGroups: [securityGroup],
      minHealthyPercent: 100,
      circuitBreaker: { rollback: true },
    });
    pool.grantParent(taskDefinition.taskRole);
    pool.acknowledgeParent(taskDefinition.taskRole);
    pool.allowRunnersTo(service);

    const bootstrap: string | undefined = this.node.tryGetContext('reaper');
    if (bootstrap !== undefined) {
      const reaper = new FlameReaper(this, 'Reaper', { cluster, bootstrap });
      new CfnOutput(this, 'ReaperName', { value: reaper.function.functionName });
    }

    this.acknowledge(cluster, taskDefinition);

    new CfnOutput(this, 'ClusterName', { value: cluster.clusterName });
    new CfnOutput(this, 'ServiceName', { value: service.serviceName });
    new CfnOutput(this, 'LogGroupName', { value: logGroup.logGroupName });
  }

  /** Explains the findings of cdk-nag. */
  private acknowledge(cluster: Cluster, service: FargateTaskDefinition): void {
    Validations.of(cluster).acknowledge({
      id: 'AwsSolutions-ECS4',
      reason: 'Container Insights costs extra for each task.',
    });
    Validations.of(service).acknowledge(
      { id: 'AwsSolutions-ECS2', reason: 'FLAME_AWS has no secrets.' },
      {
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason: 'AWS has no resource for ecr:GetAuthorizationToken.',
      },
    );
  }
}
