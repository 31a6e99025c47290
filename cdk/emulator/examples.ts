import { App } from 'aws-cdk-lib';
import { LaptopStack } from '../examples/laptop/stack';
import { ServiceStack } from '../examples/service/stack';

/** The names of the stacks. */
export const SERVICE = 'FlameService';
export const LAPTOP = 'FlameLaptop';

/**
 * Synthesizes the examples into a folder. `context` has what a user sets by `cdk deploy -c`.
 */
export function synthesize(folder: string, context: { [name: string]: string }): void {
  const app = new App({ outdir: folder, context, analyticsReporting: false });
  new ServiceStack(app, SERVICE);
  new LaptopStack(app, LAPTOP);
  app.synth();
}
