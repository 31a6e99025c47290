import type { Stack } from 'aws-cdk-lib';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { ListenerCertificate } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { FlameRelay, type FlameRelayProps } from '../../src';
import { ACCOUNT, newStack, REGION, vpcOf } from './stacks';

/** A relay in a VPC that exists already. It needs no Docker. */
export function newRelay(
  props: Partial<FlameRelayProps> = {},
  stack = newStack(),
): { stack: Stack; relay: FlameRelay } {
  const certificate = `arn:aws:acm:${REGION}:${ACCOUNT}:certificate/0`;
  const relay = new FlameRelay(stack, 'Relay', {
    vpc: vpcOf(stack),
    internetFacing: false,
    domainName: 'relay.example.com',
    certificate: ListenerCertificate.fromArn(certificate),
    image: ContainerImage.fromRegistry('flame-relay:1'),
    ...props,
  });
  return { stack, relay };
}
