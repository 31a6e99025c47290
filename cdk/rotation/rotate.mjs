/**
 * The rotation of a relay's key, in the four steps of Secrets Manager.
 *
 * Parents read the secret that is rotated. The nodes of the relay accept the keys in another secret,
 * which they read when they start. So the nodes are restarted with the new key before parents get
 * it, and they accept the old key until the next rotation. A parent must read its key again once in
 * an interval.
 */

import { randomBytes } from 'node:crypto';

const POLL_INTERVAL_MS = 10_000;
/** The time that the function keeps for its answer. */
const MARGIN_MS = 15_000;

/**
 * @typedef {{ SecretId: string, ClientRequestToken: string, Step: string }} RotationEvent
 * @typedef {{ rolloutState?: string }} Deployment
 *
 * @typedef {object} Aws The requests to AWS.
 * @property {(id: string, stage: string, version?: string) => Promise<string | undefined>} secret
 *   The value of a secret; undefined if it has none in this stage or version.
 * @property {(id: string) => Promise<string | undefined>} currentVersion The version in the stage
 *   AWSCURRENT.
 * @property {(id: string, value: string, version?: string) => Promise<void>} put
 *   Sets a secret; with a version, in the stage AWSPENDING.
 * @property {(id: string, from: string | undefined, to: string) => Promise<void>} promote
 *   Moves AWSCURRENT to another version.
 * @property {(service: string) => Promise<void>} restart Starts a new deployment of a service.
 * @property {(service: string) => Promise<Deployment[]>} deployments The deployments of a service.
 *
 * @typedef {object} Settings
 * @property {string} acceptedKeys The secret with the keys that the nodes accept.
 * @property {string[]} services The services of the relay.
 * @property {() => number} remainingMs The time that the function has left.
 * @property {(ms: number) => Promise<void>} sleep
 */

/**
 * Carries out one step. Secrets Manager repeats all steps if one fails.
 * @param {RotationEvent} event
 * @param {Aws} aws
 * @param {Settings} settings
 */
export async function rotate(event, aws, settings) {
  const { SecretId: id, ClientRequestToken: version, Step: step } = event;
  switch (step) {
    case 'createSecret':
      if ((await aws.secret(id, 'AWSPENDING', version)) === undefined) {
        await aws.put(id, randomBytes(32).toString('hex'), version);
      }
      return;
    case 'setSecret':
      await acceptBoth(id, version, aws, settings);
      return;
    case 'testSecret':
      for (const service of settings.services) {
        await waitUntilRestarted(service, aws, settings);
      }
      return;
    case 'finishSecret': {
      const current = await aws.currentVersion(id);
      if (current !== version) {
        await aws.promote(id, current, version);
      }
      return;
    }
    default:
      throw new Error(`unknown step of a rotation: ${step}`);
  }
}

/**
 * Lets the nodes accept the new key and the current one.
 * @param {string} id
 * @param {string} version
 * @param {Aws} aws
 * @param {Settings} settings
 */
async function acceptBoth(id, version, aws, settings) {
  const pending = await aws.secret(id, 'AWSPENDING', version);
  const current = await aws.secret(id, 'AWSCURRENT');
  if (pending === undefined || current === undefined) {
    throw new Error('the secret has no pending or no current key; the rotation starts again');
  }
  await aws.put(settings.acceptedKeys, `${pending},${current}`);
  for (const service of settings.services) {
    await aws.restart(service);
  }
}

/**
 * Waits until all nodes of a service have started with the new keys.
 * @param {string} service
 * @param {Aws} aws
 * @param {Settings} settings
 */
async function waitUntilRestarted(service, aws, settings) {
  for (;;) {
    const deployments = await aws.deployments(service);
    const [deployment] = deployments;
    // While old nodes drain, their deployment is still in the list.
    if (deployments.length === 1 && deployment?.rolloutState === 'COMPLETED') {
      return;
    }
    if (deployments.some(({ rolloutState }) => rolloutState === 'FAILED')) {
      throw new Error(`the new deployment of ${service} has failed: see the events of the service`);
    }
    if (settings.remainingMs() < POLL_INTERVAL_MS + MARGIN_MS) {
      throw new Error(
        `${service} still runs nodes with the old keys; the rotation will be repeated`,
      );
    }
    await settings.sleep(POLL_INTERVAL_MS);
  }
}
