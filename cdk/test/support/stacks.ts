import { App, Stack } from 'aws-cdk-lib';
import { type IVpc, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Cluster, ContainerImage, type ICluster } from 'aws-cdk-lib/aws-ecs';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { FlamePool, type FlamePoolProps, RunnerCode } from '../../src';

export const ACCOUNT = '111122223333';
export const REGION = 'eu-central-1';

/** The text of the version of a Dockerless image, as a user would write it. */
export const RUNNER_IMAGE = `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/flame-runner:1`;

/** The folder with a `bootstrap` for tests. */
export const BOOTSTRAP = `${__dirname}/bootstrap`;

/** An empty stack, in an app with these feature flags. */
export function newStack(context: { [flag: string]: boolean } = {}): Stack {
  return new Stack(new App({ context, analyticsReporting: false }), 'Test');
}

/** A VPC that exists already, with two private subnets. */
export function vpcOf(stack: Stack): IVpc {
  const known = stack.node.tryFindChild('Network') as IVpc | undefined;
  if (known) {
    return known;
  }
  return Vpc.fromVpcAttributes(stack, 'Network', {
    vpcId: 'vpc-0123456789abcdef0',
    availabilityZones: ['eu-central-1a', 'eu-central-1b'],
    privateSubnetIds: ['subnet-0aaaaaaaaaaaaaaaa', 'subnet-0bbbbbbbbbbbbbbbb'],
    privateSubnetRouteTableIds: ['rtb-0aaaaaaaaaaaaaaaa', 'rtb-0bbbbbbbbbbbbbbbb'],
  });
}

/** A pool in a stack of its own. It needs no Docker. */
export function newPool(
  props: FlamePoolProps = {},
  stack = newStack(),
): { stack: Stack; pool: FlamePool } {
  const usesCode = props.ecs || !props.lambda;
  const code = usesCode && !props.ecs?.taskDefinition ? ecsCode() : undefined;
  const pool = new FlamePool(stack, 'Pool', { code, vpc: vpcOf(stack), ...props });
  return { stack, pool };
}

/** The generic runner as an image of a registry. */
export function ecsCode(): RunnerCode {
  return RunnerCode.generic({ image: ContainerImage.fromRegistry(RUNNER_IMAGE) });
}

/** A function as a zip file. */
export function lambdaCode(): RunnerCode {
  return RunnerCode.fromBootstrapZip(BOOTSTRAP);
}

/** The policy of a parent. Its logical id contains `Parent`. */
export function parentOf(stack: Stack): ManagedPolicy {
  return new ManagedPolicy(stack, 'Parent');
}

/** Another cluster, in which parents run. */
export function parentsCluster(stack: Stack): ICluster {
  const vpc = vpcOf(stack);
  return Cluster.fromClusterAttributes(stack, 'Parents', { clusterName: 'parents', vpc });
}
