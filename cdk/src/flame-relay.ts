import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { Alarm, Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import {
  Connections,
  type IConnectable,
  type IPeer,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
} from 'aws-cdk-lib/aws-ec2';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import {
  ContainerImage,
  CpuArchitecture,
  Secret as EcsSecret,
  type FargateService,
  type ICluster,
} from 'aws-cdk-lib/aws-ecs';
import { NetworkLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { ARecord, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { newFargateCluster } from './fargate-cluster';
import { buildOf } from './own-image';
import { isArm } from './pool/architecture';
import { Problems } from './problems';
import { alarmWithoutNodes, healthyNodes } from './relay/alarms';
import { checkRelayProps, DEFAULT_CPU, DEFAULT_MEMORY } from './relay/checks';
import { METRICS_PORT, NODE_PORT, RelayEndpoint } from './relay/endpoint';
import { RelayKeys } from './relay/keys';
import type { FlameRelayProps } from './relay/props';
import { scaleEndpoints } from './relay/scaling';

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

  /**
   * Lets a construct in the VPC read the metrics and the page of each node: `/metrics` and `/` on port
   * 9464, over HTTP. Nobody else can, not even parents and runners.
   */
  allowMetrics(reader: IConnectable): void {
    reader.connections.allowTo(this, Port.tcp(METRICS_PORT), 'Metrics and page of a relay');
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

function builtImage(architecture: CpuArchitecture): ContainerImage {
  const { directory, ...build } = buildOf('relay');
  const platform = isArm(architecture) ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64;
  return ContainerImage.fromAsset(directory, { ...build, platform });
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
