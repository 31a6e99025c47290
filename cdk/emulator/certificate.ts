import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './built';
import type { Emulator } from './emulator';

const FOLDER = join(REPOSITORY, 'localstack', 'emulator', 'tests');

/** The variables of a process that trusts the certificate. */
export const TRUST = { SSL_CERT_FILE: join(FOLDER, 'certificate.pem') };

/** Gives the emulator's ACM the certificate of the tests. Returns its ARN. */
export async function importCertificate(emulator: Emulator): Promise<string> {
  const pem = (name: string) => readFileSync(join(FOLDER, name)).toString('base64');
  const imported = { Certificate: pem('certificate.pem'), PrivateKey: pem('key.pem') };
  return (await emulator.call('acm', 'ImportCertificate', imported)).CertificateArn;
}
