import { Duration, Size, Stack } from 'aws-cdk-lib';
import { Peer } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage, CpuArchitecture, Secret } from 'aws-cdk-lib/aws-ecs';
import { ListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { PublicHostedZone } from 'aws-cdk-lib/aws-route53';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Secret as KeptSecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { FargateCapacity, FlamePool, FlameReaper, FlameRelay, RunnerInvocation } from '../../src';
import { ACCOUNT, BOOTSTRAP, ecsCode, lambdaCode, parentsCluster, REGION, vpcOf } from './stacks';

/** A pool, a relay and a reaper with every option that the examples leave out. */
export class EveryOptionStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id, { env: { account: ACCOUNT, region: REGION } });
    const vpc = vpcOf(this);
    const bucket = Bucket.fromBucketName(this, 'Code', 'code-1');
    const accessLogBucket = Bucket.fromBucketName(this, 'Logs', 'logs-1');
    const hostedZone = PublicHostedZone.fromPublicHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: 'Z0123456789ABCDEFGHIJ',
      zoneName: 'example.com',
    });
    const password = KeptSecret.fromSecretNameV2(this, 'Password', 'password');
    const certificate = `arn:aws:acm:${REGION}:${ACCOUNT}:certificate/0`;
    const topicArn = `arn:aws:sns:${REGION}:${ACCOUNT}:pager`;
    const alarms = { topic: Topic.fromTopicArn(this, 'Pager', topicArn) };
    const relay = new FlameRelay(this, 'Relay', {
      vpc,
      domainName: 'relay.example.com',
      certificate: ListenerCertificate.fromArn(certificate),
      hostedZone,
      endpoints: 3,
      port: 8443,
      internetFacing: false,
      image: ContainerImage.fromRegistry('flame-relay:1'),
      cpuArchitecture: CpuArchitecture.ARM64,
      cpu: 1_024,
      memory: Size.gibibytes(2),
      environment: { FLAME_RELAY_LOG_LEVEL: 'debug' },
      drainTime: Duration.seconds(105),
      scaling: { maxNodes: 4, connectionsPerNode: 10_000 },
      keyRotation: Duration.days(30),
      accessLogBucket,
      alarms,
      logRetention: RetentionDays.ONE_WEEK,
    });
    relay.allowParents(Peer.ipv4('203.0.113.0/24'));
    const pool = new FlamePool(this, 'Pool', {
      vpc,
      relay,
      code: ecsCode(),
      cpuArchitecture: CpuArchitecture.ARM64,
      port: 4_200,
      allowAllOutbound: true,
      codeStore: { bucket, prefix: 'thumbs' },
      logRetention: RetentionDays.ONE_WEEK,
      metrics: {
        app: 'my-app',
        pool: 'thumbs',
        namespace: 'Media/Flame',
        period: Duration.seconds(10),
      },
      alarms: {
        ...alarms,
        bootFailures: 10,
        queueWait: Duration.seconds(90),
        stuckBoots: Duration.minutes(10),
        orphans: 2,
        throttledBoots: 2,
        refusedClients: 20,
        vcpuQuota: 90,
        functionThrottles: 10,
      },
      dashboard: { name: 'thumbs', interval: Duration.hours(12) },
      ecs: {
        capacity: FargateCapacity.SPOT,
        cpu: 2_048,
        memory: Size.gibibytes(8),
        ephemeralStorage: Size.gibibytes(50),
        stopTimeout: Duration.seconds(90),
        enableExecuteCommand: true,
        secrets: { PASSWORD: Secret.fromSecretsManager(password) },
      },
      lambda: {
        code: lambdaCode(),
        // cfn-lint does not know that Lambda allows 1,800 s by now.
        timeout: Duration.minutes(15),
        memory: Size.gibibytes(3),
        ephemeralStorage: Size.gibibytes(2),
        reservedConcurrency: 20,
        invocation: RunnerInvocation.EVENT,
        aliasName: 'live',
      },
    });
    const policy = new ManagedPolicy(this, 'Parent', { description: 'A parent' });
    const options = { cluster: parentsCluster(this) };
    pool.grantParent(policy, options);
    pool.acknowledgeParent(policy, options);
    new FlameReaper(this, 'Reaper', {
      cluster: relay.cluster,
      bootstrap: BOOTSTRAP,
      parentClusters: [options.cluster],
      cpuArchitecture: CpuArchitecture.ARM64,
      interval: Duration.hours(1),
      minAge: Duration.minutes(20),
      pause: Duration.minutes(2),
      logRetention: RetentionDays.ONE_WEEK,
    });
  }
}
