import { join } from 'node:path';
import { Duration, RemovalPolicy, type Size } from 'aws-cdk-lib';
import type { Alarm, Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import {
  Connections,
  type IConnectable,
  type IPeer,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import {
  ContainerImage,
  CpuArchitecture,
  Secret as EcsSecret,
  type FargateService,
  type ICluster,
} from 'aws-cdk-lib/aws-ecs';
import {
  type IListenerCertificate,
  NetworkLoadBalancer,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { ARecord, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { newFargateCluster } from './fargate-cluster';
import type { AlarmActions } from './metrics/alarm-actions';
import { isArm } from './pool/architecture';
import { Problems } from './problems';
import { alarmWithoutNodes, healthyNodes } from './relay/alarms';
import { checkRelayProps, DEFAULT_CPU, DEFAULT_MEMORY } from './relay/checks';
import { NODE_PORT, RelayEndpoint } from './relay/endpoint';
import { RelayKeys } from './relay/keys';
import { type RelayScaling, scaleEndpoints } from './relay/scaling';

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

/**
 * A relay, through which parents use runners that can't reach them: a laptop behind NAT, or a
 * parent in a Lambda function. Parents and runners encrypt their messages from end to end.
 *
 * ```ts
 * const relay = new FlameRelay(this, 'Relay', { vpc, domainName, certificate, hostedZone });
 * relay.allowParents(Peer.ipv4('203.0.113.0/24'));
 * const pool = new FlamePool(this, 'Pool', { vpc, relay });
 * ```
 */
export class FlameRelay extends Construct implements IConnectable {
  /** The connections of the nodes. The default port is the one on which they listen. */
  readonly connections: Connections;
  /** The VPC of the relay. */
  readonly vpc: IVpc;
  /** The load balancer that parents connect to. */
  readonly loadBalancer: NetworkLoadBalancer;
  /** The cluster of the nodes. */
  readonly cluster: ICluster;
  /** The services of the nodes, one for each endpoint. */
  readonly services: FargateService[];
  /** The URLs of the endpoints. */
  readonly urls: string[];
  /** The alarms that `alarms` has created, one for each endpoint. */
  readonly alarms: Alarm[];
  private readonly endpoints: RelayEndpoint[];
  private readonly keys: RelayKeys;
  private readonly ports: number[];

  constructor(scope: Construct, id: string, props: FlameRelayProps) {
    super(scope, id);
    const problems = new Problems();
    checkRelayProps(props, problems);
    problems.throwFor(this);

    const { vpc } = props;
    this.vpc = vpc;
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.DESTROY;
    const logRetention = props.logRetention ?? RetentionDays.ONE_MONTH;
    const firstPort = props.port ?? 443;
    this.ports = Array.from({ length: props.endpoints ?? 2 }, (_, index) => firstPort + index);
    this.urls = this.ports.map((port) => urlOf(props.domainName, port));
    this.cluster = props.cluster ?? newFargateCluster(this, vpc);
    this.keys = new RelayKeys(this, 'Keys', removalPolicy);

    const securityGroup = newSecurityGroup(this, 'Nodes', vpc, 'Nodes of a relay of flame-aws');
    securityGroup.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Image registry, keys and logs');
    this.connections = new Connections({
      securityGroups: [securityGroup],
      defaultPort: Port.tcp(NODE_PORT),
    });
    this.loadBalancer = new NetworkLoadBalancer(this, 'LoadBalancer', {
      vpc,
      internetFacing: props.internetFacing ?? true,
      // Each endpoint may have only one node, in one availability zone.
      crossZoneEnabled: true,
      securityGroups: [newSecurityGroup(this, 'Parents', vpc, 'Parents of a relay of flame-aws')],
    });
    if (props.accessLogBucket) {
      this.loadBalancer.logAccessLogs(props.accessLogBucket);
    }
    const architecture = props.cpuArchitecture ?? CpuArchitecture.X86_64;
    const logGroup = new LogGroup(this, 'Log', { retention: logRetention, removalPolicy });
    this.endpoints = this.ports.map(
      (port, index) =>
        new RelayEndpoint(this, `Endpoint${index + 1}`, {
          cluster: this.cluster,
          loadBalancer: this.loadBalancer,
          port,
          certificate: props.certificate,
          image: props.image ?? builtImage(architecture),
          architecture,
          cpu: props.cpu ?? DEFAULT_CPU,
          memoryMiB: (props.memory ?? DEFAULT_MEMORY).toMebibytes(),
          drainTime: props.drainTime ?? Duration.seconds(60),
          acceptedKeys: this.keys.accepted,
          environment: props.environment ?? {},
          securityGroup,
          vpcSubnets: props.vpcSubnets,
          logGroup,
        }),
    );
    this.services = this.endpoints.map(({ service }) => service);
    this.connections.allowFrom(
      this.loadBalancer,
      Port.tcp(NODE_PORT),
      'Parents through the load balancer',
    );
    if (props.scaling) {
      scaleEndpoints(this.endpoints, this.loadBalancer, props.scaling);
    }
    if (props.rotateKey ?? true) {
      const interval = props.keyRotation ?? Duration.days(90);
      this.keys.rotate(this.cluster, this.services, interval, logRetention);
    }
    this.alarms = props.alarms
      ? alarmWithoutNodes(this.endpoints, props.domainName, props.alarms)
      : [];
    if (props.hostedZone) {
      new ARecord(this, 'Record', {
        zone: props.hostedZone,
        recordName: props.domainName,
        target: RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      });
    }
  }

  /** The secret with the key of the parents. */
  get key(): ISecret {
    return this.keys.key;
  }

  /**
   * Lets parents with these addresses connect to the load balancer, for example those of an office.
   */
  allowParents(peer: IPeer): void {
    for (const port of this.ports) {
      this.loadBalancer.connections.allowFrom(peer, Port.tcp(port), 'Parents');
    }
  }

  /** Lets a parent in the VPC connect to the load balancer and to the nodes. */
  allowParent(parent: IConnectable): void {
    // The rules are then in the parent's stack, which depends on the relay's stack anyway.
    for (const port of this.ports) {
      parent.connections.allowTo(this.loadBalancer, Port.tcp(port), 'Parent');
    }
    parent.connections.allowToDefaultPort(this, 'Parent');
  }

  /** Allows a parent to read its key. */
  grantParent(grantee: IGrantable): Grant {
    return Grant.addToPrincipal({
      grantee,
      actions: ['secretsmanager:GetSecretValue'],
      resourceArns: [this.key.secretArn],
    });
  }

  /**
   * The healthy nodes behind an endpoint; the first one is endpoint 1. `loadBalancer.metrics` has
   * the connections, bytes and resets of all endpoints together.
   */
  metricHealthyNodes(endpoint: number, options?: MetricOptions): Metric {
    const found = this.endpoints[endpoint - 1];
    if (found === undefined) {
      throw new Error(
        `${this.node.path} has no endpoint ${endpoint}: use 1 to ${this.endpoints.length}`,
      );
    }
    return healthyNodes(found, options);
  }

  /** The environment variables of a parent, except for the key. */
  environmentForParent(): { [name: string]: string } {
    return { FLAME_RELAY_URL: this.urls.join(',') };
  }

  /** The key, as an environment variable of a parent that is a container of ECS. */
  secretsForParent(): { [name: string]: EcsSecret } {
    return { FLAME_RELAY_KEY: EcsSecret.fromSecretsManager(this.key) };
  }
}

/** The folder with the Dockerfile of the relay. */
const RELAY_IMAGE = join(__dirname, '..', 'images', 'relay');

function builtImage(architecture: CpuArchitecture): ContainerImage {
  const platform = isArm(architecture) ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64;
  return ContainerImage.fromAsset(RELAY_IMAGE, { platform });
}

function urlOf(domainName: string, port: number): string {
  return port === 443 ? `wss://${domainName}` : `wss://${domainName}:${port}`;
}

function newSecurityGroup(scope: Construct, id: string, vpc: IVpc, description: string) {
  return new SecurityGroup(scope, `${id}SecurityGroup`, {
    vpc,
    description,
    allowAllOutbound: false,
  });
}
