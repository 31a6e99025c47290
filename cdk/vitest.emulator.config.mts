import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['emulator/**/*.test.ts'],
    pool: 'threads',
    testTimeout: 0,
    hookTimeout: 0,
    // Each file has an emulator and a deployment of its own, which take all cores.
    fileParallelism: false,
    // Without the deployed stacks, the other tests fail too.
    bail: 1,
    env: { CDK_VALIDATION: 'false' },
  },
});
