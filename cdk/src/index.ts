export * from './flame-pool';
export * from './flame-reaper';
export * from './flame-relay';
export * from './pool/code-store';
export * from './pool/ecs-options';
export * from './pool/lambda-options';
export * from './pool/runner-code';
export * from './relay/scaling';
