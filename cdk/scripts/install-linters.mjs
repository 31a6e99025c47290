// Installs cfn-lint and hadolint, which the tests run, into a virtual environment beside the package.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const venv = join(root, '.venv');
const requirements = join(root, 'requirements.txt');
const installed = join(venv, 'installed.txt');

const wanted = readFileSync(requirements, 'utf8');
if (!existsSync(installed) || readFileSync(installed, 'utf8') !== wanted) {
  const run = (program, ...args) => execFileSync(program, args, { stdio: ['ignore', 2, 2] });
  run('python3', '-m', 'venv', '--clear', venv);
  run(
    join(venv, 'bin', 'pip'),
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '-r',
    requirements,
  );
  writeFileSync(installed, wanted);
}
