import { CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import { Architecture } from 'aws-cdk-lib/aws-lambda';

/** Whether runners have ARM processors. */
export function isArm(architecture: CpuArchitecture): boolean {
  return architecture === CpuArchitecture.ARM64;
}

/** Lambda's name of an architecture. */
export function lambdaArchitecture(architecture: CpuArchitecture): Architecture {
  return isArm(architecture) ? Architecture.ARM_64 : Architecture.X86_64;
}
