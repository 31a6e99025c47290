import { beforeAll, expect, test, vi } from 'vitest';
import { answerWith, sent } from './support/fake-aws-sdk';

type RotationEvent = { SecretId: string; ClientRequestToken: string; Step: string };
type Context = { getRemainingTimeInMillis: () => number };
let handler: (event: RotationEvent, context: Context) => Promise<void>;

beforeAll(async () => {
  vi.stubEnv('CLUSTER', 'main');
  vi.stubEnv('ACCEPTED_KEYS', 'accepted');
  vi.stubEnv('SERVICES', 'one,two');
  handler = (await import('../rotation/index.mjs')).handler;
});

/** Carries out a step of the rotation of the secret `key` to the version `v2`. */
async function step(Step: string): Promise<void> {
  const context = { getRemainingTimeInMillis: () => 600_000 };
  await handler({ SecretId: 'key', ClientRequestToken: 'v2', Step }, context);
}

test('the pending key is stored in the stage AWSPENDING, if there is none', async () => {
  answerWith((request) => {
    if (request === 'GetSecretValue') {
      throw Object.assign(new Error(), { name: 'ResourceNotFoundException' });
    }
    return {};
  });
  await step('createSecret');
  expect(sent).toEqual([
    ['GetSecretValue', { SecretId: 'key', VersionId: 'v2', VersionStage: 'AWSPENDING' }],
    [
      'PutSecretValue',
      {
        SecretId: 'key',
        SecretString: expect.stringMatching(/^[0-9a-f]{64}$/),
        ClientRequestToken: 'v2',
        VersionStages: ['AWSPENDING'],
      },
    ],
  ]);
});

test('an error other than a missing key ends the step', async () => {
  answerWith(() => {
    throw Object.assign(new Error('denied'), { name: 'AccessDeniedException' });
  });
  await expect(step('createSecret')).rejects.toThrow('denied');
});

test('the nodes get both keys, and all services a new deployment', async () => {
  answerWith((_, { VersionStage }) => ({
    SecretString: VersionStage === 'AWSPENDING' ? 'new' : 'old',
  }));
  await step('setSecret');
  expect(sent.slice(2)).toEqual([
    ['PutSecretValue', { SecretId: 'accepted', SecretString: 'new,old' }],
    ['UpdateService', { cluster: 'main', service: 'one', forceNewDeployment: true }],
    ['UpdateService', { cluster: 'main', service: 'two', forceNewDeployment: true }],
  ]);
});

test('the deployments of all services are awaited', async () => {
  answerWith(() => ({ services: [{ deployments: [{ rolloutState: 'COMPLETED' }] }] }));
  await step('testSecret');
  expect(sent).toEqual([
    ['DescribeServices', { cluster: 'main', services: ['one'] }],
    ['DescribeServices', { cluster: 'main', services: ['two'] }],
  ]);
});

test('the stage AWSCURRENT moves from the old version to the new one', async () => {
  answerWith(() => ({ VersionIdsToStages: { v1: ['AWSCURRENT'], v2: ['AWSPENDING'] } }));
  await step('finishSecret');
  expect(sent[1]).toEqual([
    'UpdateSecretVersionStage',
    {
      SecretId: 'key',
      VersionStage: 'AWSCURRENT',
      RemoveFromVersionId: 'v1',
      MoveToVersionId: 'v2',
    },
  ]);
});
