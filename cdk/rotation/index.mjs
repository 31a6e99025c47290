/** The Lambda function that rotates a relay's key. Its runtime brings the AWS SDK. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeServicesCommand, ECSClient, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { rotate } from './rotate.mjs';

const secrets = new SecretsManagerClient();
const ecs = new ECSClient();
const { CLUSTER: cluster, ACCEPTED_KEYS = '', SERVICES = '' } = process.env;

/** @type {import('./rotate.mjs').Aws} */
const aws = {
  async secret(SecretId, VersionStage, VersionId) {
    try {
      const command = new GetSecretValueCommand({ SecretId, VersionStage, VersionId });
      return (await secrets.send(command)).SecretString;
    } catch (error) {
      if (error instanceof Error && error.name === 'ResourceNotFoundException') {
        return undefined;
      }
      throw error;
    }
  },
  async currentVersion(SecretId) {
    const { VersionIdsToStages = {} } = await secrets.send(new DescribeSecretCommand({ SecretId }));
    const versions = Object.entries(VersionIdsToStages);
    return versions.find(([, stages]) => stages.includes('AWSCURRENT'))?.[0];
  },
  async put(SecretId, SecretString, ClientRequestToken) {
    const VersionStages = ClientRequestToken ? ['AWSPENDING'] : undefined;
    await secrets.send(
      new PutSecretValueCommand({ SecretId, SecretString, ClientRequestToken, VersionStages }),
    );
  },
  async promote(SecretId, RemoveFromVersionId, MoveToVersionId) {
    const VersionStage = 'AWSCURRENT';
    await secrets.send(
      new UpdateSecretVersionStageCommand({
        SecretId,
        VersionStage,
        RemoveFromVersionId,
        MoveToVersionId,
      }),
    );
  },
  async restart(service) {
    await ecs.send(new UpdateServiceCommand({ cluster, service, forceNewDeployment: true }));
  },
  async deployments(service) {
    const answer = await ecs.send(new DescribeServicesCommand({ cluster, services: [service] }));
    return answer.services?.[0]?.deployments ?? [];
  },
};

/**
 * @param {import('./rotate.mjs').RotationEvent} event
 * @param {{ getRemainingTimeInMillis: () => number }} context
 */
export async function handler(event, context) {
  await rotate(event, aws, {
    acceptedKeys: ACCEPTED_KEYS,
    services: SERVICES.split(','),
    remainingMs: () => context.getRemainingTimeInMillis(),
    sleep,
  });
}
