import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['emulator/**/*.test.ts'],
    pool: 'threads',
    testTimeout: 0,
    hookTimeout: 0,
    // Without the deployed stacks, the other tests fail too.
    bail: 1,
    env: { CDK_VALIDATION: 'false' },
  },
});
