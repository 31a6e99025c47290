import {
  FlowLogDestination,
  FlowLogTrafficType,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SelectedSubnets,
  type SubnetSelection,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { FlamePoolProps } from '../flame-pool';
import { Problems } from '../problems';

/** The most subnets that a task may have (AWS documentation, AwsVpcConfiguration). */
const MAX_SUBNETS = 16;

/** The network of runners in a VPC. */
export interface RunnersNetwork {
  readonly vpc: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  /** The subnets that `vpcSubnets` selects. */
  readonly subnets: SelectedSubnets;
  readonly securityGroup: SecurityGroup;
}

/** The VPC of a pool: the given one, that of the cluster or of the relay, or a new one. */
export function poolVpc(scope: Construct, props: FlamePoolProps): IVpc {
  return props.vpc ?? props.ecs?.cluster?.vpc ?? props.relay?.vpc ?? newVpc(scope);
}

function newVpc(scope: Construct): IVpc {
  return new Vpc(scope, 'Vpc', {
    maxAzs: 2,
    natGateways: 1,
    flowLogs: {
      Rejected: {
        destination: FlowLogDestination.toCloudWatchLogs(),
        trafficType: FlowLogTrafficType.REJECT,
      },
    },
  });
}

/** The subnets that `vpcSubnets` selects. Throws an error if they can't be used. */
export function poolSubnets(pool: Construct, vpc: IVpc, props: FlamePoolProps): SelectedSubnets {
  const problems = new Problems();
  let selected: SelectedSubnets;
  try {
    selected = vpc.selectSubnets(props.vpcSubnets);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    problems.add(`\`vpcSubnets\` selects no subnet of the VPC: ${why}`);
    throw problems.errorFor(pool);
  }
  checkSubnets(selected, props, problems);
  problems.throwFor(pool);
  return selected;
}

function checkSubnets(selected: SelectedSubnets, props: FlamePoolProps, problems: Problems): void {
  if (selected.isPendingLookup) {
    return;
  }
  const count = selected.subnetIds.length;
  problems.require(
    count > 0 && count <= MAX_SUBNETS,
    `\`vpcSubnets\` selects ${count} subnets: select 1 to ${MAX_SUBNETS}`,
  );
  if (selected.hasPublic) {
    problems.require(
      props.ecs?.assignPublicIp !== false,
      '`ecs.assignPublicIp` is false, but `vpcSubnets` selects public subnets, where Fargate needs ' +
        'public addresses to pull the image',
    );
    problems.require(
      props.lambda === undefined || props.lambda.outsideVpc === true,
      '`vpcSubnets` selects public subnets, where a Lambda function reaches nothing outside of the ' +
        'VPC: select private subnets, or set `lambda.outsideVpc`',
    );
  }
}

/** The security group of runners. Nobody may connect to a runner. */
export function runnersSecurityGroup(
  scope: Construct,
  vpc: IVpc,
  allowAllOutbound: boolean,
): SecurityGroup {
  const group = new SecurityGroup(scope, 'SecurityGroup', {
    vpc,
    description: 'Runners of flame-aws',
    allowAllOutbound,
  });
  if (!allowAllOutbound) {
    const why = 'Image registry, logs and other AWS APIs, code store, public relays';
    group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), why);
  }
  return group;
}
