import { existsSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGE = join(__dirname, '..');
/** The root of the checkout, if this package is in one. */
const CHECKOUT = join(PACKAGE, '..');

/** How an image is built. */
export interface Build {
  /** The context of the build. */
  readonly directory: string;
  /** The path of the Dockerfile in it. The default is `Dockerfile`. */
  readonly file?: string;
}

/**
 * The build of a Dockerfile in `images/`. Without a checkout, its context has no sources, and it
 * compiles the published crate.
 */
export function buildOf(image: 'relay' | 'runner'): Build {
  const file = join('cdk', 'images', image, 'Dockerfile');
  const sources = ['Cargo.toml', file].map((path) => join(CHECKOUT, path));
  return sources.every((path) => existsSync(path))
    ? { directory: CHECKOUT, file }
    : { directory: join(PACKAGE, 'images', image) };
}
