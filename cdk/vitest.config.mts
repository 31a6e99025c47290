import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const fakeAwsSdk = join(import.meta.dirname, 'test', 'support', 'fake-aws-sdk.ts');

export default defineConfig({
  // The function that rotates keys uses the SDK of its runtime.
  resolve: {
    alias: {
      '@aws-sdk/client-ecs': fakeAwsSdk,
      '@aws-sdk/client-secrets-manager': fakeAwsSdk,
    },
  },
  test: {
    include: ['test/**/*.test.ts'],
    // aws-cdk-lib takes seconds to load, so all files share one worker and its modules.
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
    testTimeout: 0,
    hookTimeout: 0,
    // CDK's own check of templates takes seconds. `lint.test.ts` checks them with cfn-lint.
    env: { CDK_VALIDATION: 'false' },
  },
});
