import { Template } from 'aws-cdk-lib/assertions';
import { Port, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { expect, test } from 'vitest';
import { lambdaCode, newPool, newStack, vpcOf } from './support/stacks';
import { Deployed } from './support/template';

const HTTPS = { IpProtocol: 'tcp', FromPort: 443, ToPort: 443, CidrIp: '0.0.0.0/0' };

test('runners connect to their parent on one port, and nobody connects to them', () => {
  const stack = newStack();
  const parent = new SecurityGroup(stack, 'Parent', { vpc: vpcOf(stack), allowAllOutbound: false });
  const { pool } = newPool({ port: 4_200, ecs: {}, lambda: { code: lambdaCode() } }, stack);
  pool.allowRunnersTo(parent);
  const deployed = new Deployed(stack);
  const runners = `${deployed.idOf('AWS::EC2::SecurityGroup', 'Pool')}.GroupId`;
  const parents = `${deployed.idOf('AWS::EC2::SecurityGroup', 'Parent')}.GroupId`;
  const port = { IpProtocol: 'tcp', FromPort: 4_200, ToPort: 4_200 };
  const found = deployed.all('AWS::EC2::SecurityGroup');
  expect(found.flatMap((group) => group.SecurityGroupIngress ?? [])).toEqual([]);
  expect(deployed.only('AWS::EC2::SecurityGroupIngress')).toMatchObject({
    ...port,
    GroupId: parents,
    SourceSecurityGroupId: runners,
  });
  expect(deployed.only('AWS::EC2::SecurityGroupEgress')).toMatchObject({
    ...port,
    GroupId: runners,
    DestinationSecurityGroupId: parents,
  });
  expect(deployed.only('AWS::Lambda::Function').VpcConfig.SecurityGroupIds).toEqual([runners]);
});

test('runners reach port 443 everywhere, and everything else only if they are allowed to', () => {
  const closed = Template.fromStack(newPool().stack);
  closed.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupEgress: [HTTPS] });
  const open = Template.fromStack(newPool({ allowAllOutbound: true }).stack);
  open.hasResourceProperties('AWS::EC2::SecurityGroup', {
    SecurityGroupEgress: [{ IpProtocol: '-1', CidrIp: '0.0.0.0/0' }],
  });
});

test('connections of the app are opened as for any construct', () => {
  const stack = newStack();
  const database = new SecurityGroup(stack, 'Database', { vpc: vpcOf(stack) });
  const { pool } = newPool({}, stack);
  pool.connections.allowTo(database, Port.tcp(5_432));
  expect(new Deployed(stack).only('AWS::EC2::SecurityGroupEgress')).toMatchObject({
    FromPort: 5_432,
  });
});

test('in public subnets tasks get public addresses', () => {
  const stack = newStack();
  const vpc = new Vpc(stack, 'Public', { natGateways: 0 });
  const { pool } = newPool({ vpc, vpcSubnets: { subnetType: SubnetType.PUBLIC } }, stack);
  const value = new Deployed(stack).text(pool.environmentForParent().FLAME_AWS ?? '');
  expect(JSON.parse(value).ecs.assignPublicIp).toBe(true);
});

test('a permission for the pool is a permission for its runners on both backends', () => {
  const stack = newStack();
  const { pool } = newPool({ ecs: {}, lambda: { code: lambdaCode() } }, stack);
  new Bucket(stack, 'Pictures').grantRead(pool);
  const deployed = new Deployed(stack);
  for (const role of ['TaskRole', 'LambdaRole']) {
    const actions = deployed.statements(role).flatMap(({ Action }) => Action);
    expect(actions, role).toContain('s3:GetObject*');
  }
});
