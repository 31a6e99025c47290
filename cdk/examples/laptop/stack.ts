import { CfnOutput, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { FlowLogDestination, Peer, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { ListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { FargateCapacity, FlamePool, FlameRelay, RunnerCode } from '../../src';

/**
 * What the stack must know. `cdk deploy -c domainName=.. -c certificate=.. -c parents=..` sets it.
 */
interface Context {
  /** The name of the relay, for which the certificate is valid. */
  readonly domainName: string;
  /** The ARN of the certificate. */
  readonly certificate: string;
  /** The first port of the relay. */
  readonly port: string;
  /** The addresses from which parents connect, in CIDR notation. */
  readonly parents: string;
}

/**
 * Runners for the laptops of a team: `cargo run` on a laptop boots tasks on Spot, which become the
 * app. There is no service; without parents, only the relay costs something.
 *
 * The images of `flame-runner` and `flame-relay` are in ECR.
 */
export class LaptopStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const context = this.readContext();
    const image = (name: string) =>
      ContainerImage.fromEcrRepository(Repository.fromRepositoryName(this, name, name));

    const vpc = new Vpc(this, 'Vpc', { maxAzs: 2, natGateways: 1 });
    vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs() });
    const relay = new FlameRelay(this, 'Relay', {
      vpc,
      domainName: context.domainName,
      port: Number(context.port),
      certificate: ListenerCertificate.fromArn(context.certificate),
      image: image('flame-relay'),
    });
    relay.allowParents(Peer.ipv4(context.parents));

    const pool = new FlamePool(this, 'Pool', {
      vpc,
      relay,
      code: RunnerCode.generic({ image: image('flame-runner') }),
      ecs: { cluster: relay.cluster, capacity: FargateCapacity.SPOT_FIRST },
    });

    // Attach this policy to the roles of the people who use the pool.
    const policy = new ManagedPolicy(this, 'Parents', {
      description: 'Allows to boot, watch and stop runners of flame-aws',
    });
    pool.grantParent(policy);

    pool.acknowledgeParent(policy);
    Validations.of(relay).acknowledge({
      id: 'AwsSolutions-ELB2',
      reason: 'The relay counts connections and refusals itself; set accessLogBucket for a log.',
    });

    new CfnOutput(this, 'PolicyArn', { value: policy.managedPolicyArn });
    new CfnOutput(this, 'ClusterName', { value: relay.cluster.clusterName });
    new CfnOutput(this, 'RelayKey', { value: relay.key.secretArn });
    new CfnOutput(this, 'RelayHost', { value: relay.loadBalancer.loadBalancerDnsName });
    for (const [name, value] of Object.entries(pool.environmentForParent())) {
      new CfnOutput(this, name.replaceAll('_', ''), { value, description: name });
    }
  }

  private readContext(): Context {
    const value = (name: keyof Context, placeholder: string): string =>
      this.node.tryGetContext(name) ?? placeholder;
    return {
      domainName: value('domainName', 'relay.example.com'),
      certificate: value(
        'certificate',
        this.formatArn({
          service: 'acm',
          resource: 'certificate',
          resourceName: '00000000-0000-0000-0000-000000000000',
        }),
      ),
      port: value('port', '443'),
      parents: value('parents', '203.0.113.0/24'),
    };
  }
}
