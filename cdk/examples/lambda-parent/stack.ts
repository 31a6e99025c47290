import { join } from 'node:path';
import { CfnOutput, Duration, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { FlowLogDestination, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { ListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { FlamePool, FlameRelay, RunnerCode } from '../../src';

/** The folder with the app as `bootstrap`; `cdk deploy -c app=target/lambda` sets another. */
const APP = join(__dirname, 'app');

/**
 * A parent in a Lambda function, whose runners are invocations of a second function with the same
 * code.
 *
 * A function accepts no connections, so the two meet at a relay in their VPC. The app reads the
 * relay's key from the secret in RELAY_KEY_SECRET, and gives it to `Relay::key`.
 */
export class LambdaParentStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const app: string = this.node.tryGetContext('app') ?? APP;
    const relayImage = Repository.fromRepositoryName(this, 'RelayImage', 'flame-relay');

    const vpc = new Vpc(this, 'Vpc', { maxAzs: 2, natGateways: 1 });
    vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs() });
    const relay = new FlameRelay(this, 'Relay', {
      vpc,
      domainName: this.node.tryGetContext('domainName') ?? 'relay.example.com',
      port: Number(this.node.tryGetContext('port') ?? 443),
      certificate: ListenerCertificate.fromArn(this.certificate()),
      image: ContainerImage.fromEcrRepository(relayImage),
      internetFacing: false,
      endpoints: 1,
    });
    const pool = new FlamePool(this, 'Pool', {
      vpc,
      relay,
      code: RunnerCode.fromBootstrapZip(app),
      lambda: { reservedConcurrency: 50 },
    });

    const parent = new LambdaFunction(this, 'Parent', {
      code: Code.fromAsset(app),
      runtime: Runtime.PROVIDED_AL2023,
      handler: 'bootstrap',
      timeout: Duration.minutes(15),
      memorySize: 1_024,
      vpc,
      logGroup: new LogGroup(this, 'Log', { retention: RetentionDays.ONE_MONTH }),
      environment: { ...pool.environmentForParent(), RELAY_KEY_SECRET: relay.key.secretArn },
    });
    pool.grantParent(parent);
    relay.allowParent(parent);

    Validations.of(relay).acknowledge({
      id: 'AwsSolutions-ELB2',
      reason: 'The relay counts connections and refusals itself; set accessLogBucket for a log.',
    });
    Validations.of(parent).acknowledge(
      ...['Basic', 'VPCAccess'].map((name) => ({
        id: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambda${name}ExecutionRole]`,
        reason: 'CDK gives this policy to every function in a VPC.',
      })),
    );

    new CfnOutput(this, 'ParentName', { value: parent.functionName });
    new CfnOutput(this, 'RelayKey', { value: relay.key.secretArn });
  }

  /** The ARN of the certificate of the relay; `cdk deploy -c certificate=..` sets it. */
  private certificate(): string {
    const resourceName = '00000000-0000-0000-0000-000000000000';
    const placeholder = { service: 'acm', resource: 'certificate', resourceName };
    return this.node.tryGetContext('certificate') ?? this.formatArn(placeholder);
  }
}
