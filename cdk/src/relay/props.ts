import type { Duration, RemovalPolicy, Size } from 'aws-cdk-lib';
import type { IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { ContainerImage, CpuArchitecture, ICluster } from 'aws-cdk-lib/aws-ecs';
import type { IListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { AlarmActions } from '../metrics/alarm-actions';
import type { RelayScaling } from './scaling';

/** The props of a `FlameRelay`. */
export interface FlameRelayProps {
  /** The VPC of the relay. Runners connect to its nodes inside of this VPC. */
  readonly vpc: IVpc;
  /** The name at which parents reach the relay, such as `relay.example.com`. */
  readonly domainName: string;
  /**
   * The certificate for `domainName`, for example from ACM. The system of the parents must trust
   * it.
   */
  readonly certificate: IListenerCertificate;
  /**
   * The hosted zone in which to create the record for `domainName`.
   * @default - none: create the record yourself, as an alias of `loadBalancer`
   */
  readonly hostedZone?: IHostedZone;
  /**
   * How many endpoints the relay has, 1 to 3. Parents keep a connection to each of them, so that
   * one of them may fail. Each is a port of the load balancer with a service of its own: a parent
   * that opens a socket for a runner must reach the node at which the runner waits.
   *
   * A runner knows three addresses, those of the nodes first. So with 3 endpoints, all runners must
   * be in the VPC.
   * @default 2
   */
  readonly endpoints?: number;
  /**
   * The port of the first endpoint at the load balancer. The others follow.
   * @default 443
   */
  readonly port?: number;
  /**
   * Whether the load balancer has public addresses. Even then, nobody can connect before
   * `allowParents` or `allowParent` is called.
   * @default true
   */
  readonly internetFacing?: boolean;
  /**
   * The cluster of the nodes.
   * @default - a new cluster
   */
  readonly cluster?: ICluster;
  /**
   * The subnets of the nodes.
   * @default - the private subnets
   */
  readonly vpcSubnets?: SubnetSelection;
  /**
   * The image of `flame-relay`.
   * @default - the Dockerfile of this package compiles it
   */
  readonly image?: ContainerImage;
  /**
   * The processor of the nodes.
   * @default CpuArchitecture.X86_64
   */
  readonly cpuArchitecture?: CpuArchitecture;
  /**
   * The CPU units of a node; 1024 are one vCPU.
   * @default 512
   */
  readonly cpu?: number;
  /**
   * The memory of a node.
   * @default Size.gibibytes(1)
   */
  readonly memory?: Size;
  /**
   * Further settings of the nodes, such as FLAME_RELAY_MAX_CONNECTIONS: see `flame-relay --help`.
   * @default - none
   */
  readonly environment?: { [name: string]: string };
  /**
   * How long connections may stay open when a node is stopped, at most 105 s. The node tells its
   * parents to connect elsewhere, and no call is lost.
   * @default Duration.seconds(60)
   */
  readonly drainTime?: Duration;
  /**
   * Adds nodes behind each endpoint when there are more connections.
   * @default - one node for each endpoint
   */
  readonly scaling?: RelayScaling;
  /**
   * Whether the key of the parents is replaced regularly. A key is valid for two intervals, so a
   * parent that runs for longer must read it again.
   * @default true
   */
  readonly rotateKey?: boolean;
  /**
   * The interval of the rotation, in whole days.
   * @default Duration.days(90)
   */
  readonly keyRotation?: Duration;
  /**
   * The bucket for the access log of the load balancer.
   * @default - no access log
   */
  readonly accessLogBucket?: IBucket;
  /**
   * How long the log of the relay is kept.
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: RetentionDays;
  /**
   * Whether the log and the keys stay when the stack is deleted.
   * @default RemovalPolicy.DESTROY
   */
  readonly removalPolicy?: RemovalPolicy;
  /**
   * An alarm for each endpoint, which goes off when the endpoint has had no healthy node for 5
   * minutes. `{}` creates the alarms without any action.
   * @default - no alarms
   */
  readonly alarms?: AlarmActions;
}
