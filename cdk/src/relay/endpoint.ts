import { Duration, Validations } from 'aws-cdk-lib';
import type { ISecurityGroup, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import {
  AwsLogDriverMode,
  type ContainerImage,
  type CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  type ICluster,
  LogDrivers,
  OperatingSystemFamily,
  Protocol as PortProtocol,
  Secret,
  UlimitName,
} from 'aws-cdk-lib/aws-ecs';
import {
  type IListenerCertificate,
  type NetworkLoadBalancer,
  type NetworkTargetGroup,
  Protocol,
  SslPolicy,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledgedExecutionRole } from '../execution-role';
import { newTaskRole } from '../task-role';

/** The port on which nodes listen. */
export const NODE_PORT = 8443;
/**
 * The port on which nodes serve their metrics and their page. The load balancer does not forward to
 * it, so those who may connect to the relay can't read them.
 */
export const METRICS_PORT = 9464;
/**
 * The time that a node keeps for its exit after it has drained. ECS kills a task after its stop
 * timeout, which is 120 s at most.
 */
export const EXIT_MARGIN = Duration.seconds(15);
/**
 * How long the load balancer still knows a node that ECS is about to stop. The node does not drain
 * before that, so a longer time only delays deployments.
 */
const DEREGISTRATION_DELAY = Duration.seconds(15);
/** More than `--max-connections` and `--max-handshakes` together. */
const OPEN_FILES = 131_072;
/** In seconds; a node is healthy or not after two checks. */
const HEALTH_CHECK = { interval: 10, timeout: 5, threshold: 2 };

/** What an endpoint of a relay needs. */
export interface RelayEndpointProps {
  readonly cluster: ICluster;
  readonly loadBalancer: NetworkLoadBalancer;
  readonly port: number;
  readonly certificate: IListenerCertificate;
  readonly image: ContainerImage;
  readonly architecture: CpuArchitecture;
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly drainTime: Duration;
  readonly acceptedKeys: ISecret;
  readonly environment: { [name: string]: string };
  readonly securityGroup: ISecurityGroup;
  readonly vpcSubnets?: SubnetSelection;
  readonly logGroup: ILogGroup;
}

/** A port of the load balancer, and the service behind it. */
export class RelayEndpoint extends Construct {
  readonly service: FargateService;
  readonly targetGroup: NetworkTargetGroup;

  constructor(
    scope: Construct,
    id: string,
    private readonly props: RelayEndpointProps,
  ) {
    super(scope, id);
    this.service = new FargateService(this, 'Service', {
      cluster: props.cluster,
      taskDefinition: this.newTaskDefinition(),
      desiredCount: 1,
      // A new node is up before the old one drains.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.seconds(60),
      securityGroups: [props.securityGroup],
      vpcSubnets: props.vpcSubnets,
      assignPublicIp: false,
    });
    const listener = props.loadBalancer.addListener(`Listener${props.port}`, {
      port: props.port,
      protocol: Protocol.TLS,
      certificates: [props.certificate],
      sslPolicy: SslPolicy.RECOMMENDED_TLS,
    });
    this.targetGroup = listener.addTargets('Nodes', {
      port: NODE_PORT,
      protocol: Protocol.TCP,
      targets: [this.service],
      deregistrationDelay: DEREGISTRATION_DELAY,
      // The relay limits the connections of each address.
      preserveClientIp: true,
      healthCheck: {
        protocol: Protocol.HTTP,
        path: '/readyz',
        interval: Duration.seconds(HEALTH_CHECK.interval),
        timeout: Duration.seconds(HEALTH_CHECK.timeout),
        healthyThresholdCount: HEALTH_CHECK.threshold,
        unhealthyThresholdCount: HEALTH_CHECK.threshold,
      },
    });
  }

  /** The port of the endpoint at the load balancer. */
  get port(): number {
    return this.props.port;
  }

  private newTaskDefinition(): FargateTaskDefinition {
    const { props } = this;
    const definition = new FargateTaskDefinition(this, 'TaskDefinition', {
      cpu: props.cpu,
      memoryLimitMiB: props.memoryMiB,
      runtimePlatform: {
        cpuArchitecture: props.architecture,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole: newTaskRole(this, 'A relay of flame-aws needs no permission'),
    });
    const container = definition.addContainer('relay', {
      image: props.image,
      readonlyRootFilesystem: true,
      // The load balancer forwards to the first one.
      portMappings: [NODE_PORT, METRICS_PORT].map((containerPort) => ({
        containerPort,
        protocol: PortProtocol.TCP,
      })),
      stopTimeout: props.drainTime.plus(EXIT_MARGIN),
      environment: {
        FLAME_RELAY_LISTEN: `0.0.0.0:${NODE_PORT}`,
        FLAME_RELAY_METRICS_LISTEN: `0.0.0.0:${METRICS_PORT}`,
        FLAME_RELAY_DRAIN_TIME: `${props.drainTime.toSeconds()}s`,
        FLAME_RELAY_LOG_FORMAT: 'json',
        ...props.environment,
      },
      secrets: { FLAME_RELAY_KEYS: Secret.fromSecretsManager(props.acceptedKeys) },
      logging: LogDrivers.awsLogs({
        streamPrefix: 'relay',
        logGroup: props.logGroup,
        mode: AwsLogDriverMode.NON_BLOCKING,
      }),
    });
    acknowledgedExecutionRole(definition);
    Validations.of(definition).acknowledge({
      id: 'AwsSolutions-ECS2',
      reason: 'The variables are settings. The keys come from Secrets Manager.',
    });
    container.addUlimits({
      name: UlimitName.NOFILE,
      softLimit: OPEN_FILES,
      hardLimit: OPEN_FILES,
    });
    return definition;
  }
}
