import { join } from 'node:path';
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { ICluster, IFargateService } from 'aws-cdk-lib/aws-ecs';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { CfnRotationSchedule, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { newFunctionRole } from '../function-role';

/** The folder with the function that rotates the key. */
const ROTATION = join(__dirname, '..', '..', 'rotation');
const KEY_LENGTH = 64;

/**
 * The key that parents present, and the keys that the nodes accept: the key, and the one before.
 */
export class RelayKeys extends Construct {
  /** The key of the parents. */
  readonly key: Secret;
  /** The keys that the nodes accept, separated by commas. */
  readonly accepted: Secret;

  constructor(scope: Construct, id: string, removalPolicy: RemovalPolicy) {
    super(scope, id);
    this.key = new Secret(this, 'Key', {
      description: 'The key with which parents connect to the relay of flame-aws',
      generateSecretString: { passwordLength: KEY_LENGTH, excludePunctuation: true },
      removalPolicy,
    });
    // CloudFormation reads the key when it creates this secret. Later updates leave it as it is.
    this.accepted = new Secret(this, 'Accepted', {
      description: 'The keys that the nodes of the relay of flame-aws accept',
      secretStringValue: this.key.secretValue,
      removalPolicy,
    });
    Validations.of(this.accepted).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'The rotation of the key of the parents changes this secret as well.',
    });
  }

  /** Rotates the key regularly. Each rotation restarts the nodes, one service after another. */
  rotate(
    cluster: ICluster,
    services: IFargateService[],
    interval: Duration,
    logRetention: RetentionDays,
  ): void {
    const logGroup = new LogGroup(this, 'RotationLog', {
      retention: logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = newFunctionRole(this, 'RotationRole', logGroup);
    const key = this.key.secretArn;
    const allow = (actions: string[], resources: string[]) =>
      role.addToPolicy(new PolicyStatement({ actions, resources }));
    allow(
      [
        'secretsmanager:DescribeSecret',
        'secretsmanager:GetSecretValue',
        'secretsmanager:PutSecretValue',
        'secretsmanager:UpdateSecretVersionStage',
      ],
      [key],
    );
    allow(['secretsmanager:PutSecretValue'], [this.accepted.secretArn]);
    const serviceArns = services.map((service) => service.serviceArn);
    allow(['ecs:UpdateService', 'ecs:DescribeServices'], serviceArns);

    const rotation = new LambdaFunction(this, 'Rotation', {
      description: 'Rotates the key of the relay of flame-aws',
      code: Code.fromAsset(ROTATION),
      runtime: Runtime.NODEJS_24_X,
      handler: 'index.handler',
      // It waits until the nodes have been restarted, and drain for up to two minutes.
      timeout: Duration.minutes(15),
      memorySize: 256,
      environment: {
        CLUSTER: cluster.clusterArn,
        SERVICES: serviceArns.join(','),
        ACCEPTED_KEYS: this.accepted.secretArn,
      },
      role,
      logGroup,
    });
    const permission = {
      principal: new ServicePrincipal('secretsmanager.amazonaws.com'),
      sourceAccount: Stack.of(this).account,
      sourceArn: key,
    };
    rotation.addPermission('SecretsManager', permission);
    const schedule = new CfnRotationSchedule(this, 'Schedule', {
      secretId: key,
      rotationLambdaArn: rotation.functionArn,
      rotationRules: { automaticallyAfterDays: interval.toDays() },
      rotateImmediatelyOnUpdate: false,
    });
    schedule.node.addDependency(rotation);
  }
}
