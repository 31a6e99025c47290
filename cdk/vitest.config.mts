import { defineConfig } from 'vitest/config';

export default defineConfig({
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
