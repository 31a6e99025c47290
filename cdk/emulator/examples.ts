import { App } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { LambdaParentStack } from '../examples/lambda-parent/stack';
import { LaptopStack } from '../examples/laptop/stack';
import { ServiceStack } from '../examples/service/stack';

/** The names of the stacks. */
export const SERVICE = 'FlameService';
export const LAPTOP = 'FlameLaptop';
export const LAMBDA_PARENT = 'FlameLambdaParent';

/** What a user sets by `cdk deploy -c`. */
export type Context = { [name: string]: string };

/** Synthesizes the examples into a folder, each with a context of its own. */
export function synthesize(
  folder: string,
  contexts: { service: Context; laptop: Context; lambdaParent: Context },
): void {
  const app = new App({ outdir: folder, analyticsReporting: false });
  const scope = (id: string, context: Context) => {
    const scope = new Construct(app, id);
    for (const [name, value] of Object.entries(context)) {
      scope.node.setContext(name, value);
    }
    return scope;
  };
  const ofService = scope('Service', contexts.service);
  new ServiceStack(ofService, SERVICE, { stackName: SERVICE });
  new LaptopStack(scope('Laptop', contexts.laptop), LAPTOP, { stackName: LAPTOP });
  const ofParent = scope('LambdaParent', contexts.lambdaParent);
  new LambdaParentStack(ofParent, LAMBDA_PARENT, { stackName: LAMBDA_PARENT });
  app.synth();
}
