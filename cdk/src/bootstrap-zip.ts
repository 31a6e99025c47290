import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Says why a path is neither a zip file nor a folder with a `bootstrap`, if it is neither. */
export function bootstrapProblem(path: string): string | undefined {
  const isZip = path.endsWith('.zip') && existsSync(path);
  return isZip || existsSync(join(path, 'bootstrap'))
    ? undefined
    : `${resolve(path)} is neither a zip file nor a folder with a file \`bootstrap\``;
}
