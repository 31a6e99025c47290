/**
 * The app of `examples/lambda-parent` in the emulator, as a custom runtime of Lambda. For each event
 * it runs a program as a parent, with the relay's key from the secret in RELAY_KEY_SECRET.
 */

import { spawnSync } from 'node:child_process';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

const { AWS_LAMBDA_RUNTIME_API, RELAY_KEY_SECRET } = process.env;
const events = `http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const secrets = new SecretsManagerClient();

for (;;) {
  const next = await fetch(`${events}/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  /** @type {any} */
  const { program, args, env } = await next.json();
  const key = await secrets.send(new GetSecretValueCommand({ SecretId: RELAY_KEY_SECRET }));
  const variables = { ...process.env, ...env, FLAME_RELAY_KEY: key.SecretString };
  const { status, stdout, stderr } = spawnSync(program, args, { env: variables, encoding: 'utf8' });
  const body = JSON.stringify({ status, output: stdout + stderr });
  await fetch(`${events}/${id}/response`, { method: 'POST', body });
}
