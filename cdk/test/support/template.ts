import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Stack, Stage } from 'aws-cdk-lib';
import { ACCOUNT, REGION } from './stacks';

/** A resource of a template. */
export interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: templates have no types
  readonly Properties: any;
}

/** How the image of a deployment is built. */
export interface ImageSource {
  readonly directory: string;
  readonly dockerFile?: string;
  readonly platform?: string;
}

/** A statement of a policy whose values are plain text. */
export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string | string[];
  readonly Condition?: { [operator: string]: { [key: string]: string } };
}

const SERVICES: { [type: string]: (id: string) => string } = {
  'AWS::ECS::Cluster': (id) => `ecs:${REGION}:${ACCOUNT}:cluster/${id}`,
  'AWS::ECS::TaskDefinition': (id) => `ecs:${REGION}:${ACCOUNT}:task-definition/${id}:1`,
  'AWS::IAM::Role': (id) => `iam::${ACCOUNT}:role/${id}`,
  'AWS::Lambda::Function': (id) => `lambda:${REGION}:${ACCOUNT}:function:${id}`,
  'AWS::S3::Bucket': (id) => `s3:::${id.toLowerCase()}`,
  'AWS::SecretsManager::Secret': (id) => `secretsmanager:${REGION}:${ACCOUNT}:secret:${id}-AbCdEf`,
};
/** The types whose `Ref` is their ARN. */
const REF_IS_ARN = [
  'AWS::ECS::TaskDefinition',
  'AWS::Lambda::Alias',
  'AWS::SecretsManager::Secret',
];

/** The template of a stack, with its references resolved as a deployment would do it. */
export class Deployed {
  readonly resources: { [id: string]: Resource };

  private readonly directory: string;

  constructor(private readonly stack: Stack) {
    const assembly = Stage.of(stack)?.synth();
    this.directory = assembly?.directory ?? '';
    this.resources = assembly?.getStackByName(stack.stackName).template.Resources;
  }

  /** The images that a deployment builds. */
  imageAssets(): { id: string; context: string; source: ImageSource }[] {
    const manifest = join(this.directory, `${this.stack.artifactId}.assets.json`);
    const images: { [id: string]: { source: ImageSource } } =
      JSON.parse(readFileSync(manifest, 'utf8')).dockerImages ?? {};
    return Object.entries(images).map(([id, { source }]) => ({
      id,
      context: join(this.directory, source.directory),
      source,
    }));
  }

  /** The resolved properties of all resources of a type. */
  // biome-ignore lint/suspicious/noExplicitAny: templates have no types
  all(type: string): any[] {
    const found = Object.values(this.resources).filter((resource) => resource.Type === type);
    return found.map((resource) => this.plain(resource.Properties));
  }

  /** The only resource of a type. */
  // biome-ignore lint/suspicious/noExplicitAny: templates have no types
  only(type: string): any {
    const [first, ...rest] = this.all(type);
    if (first === undefined || rest.length > 0) {
      throw new Error(`the template has ${rest.length + (first ? 1 : 0)} resources ${type}`);
    }
    return first;
  }

  /** The logical id of the only resource of a type whose logical id contains `part`. */
  idOf(type: string, part = ''): string {
    const ids = Object.keys(this.resources).filter(
      (id) => this.resources[id]?.Type === type && id.includes(part),
    );
    const [id] = ids;
    if (id === undefined || ids.length > 1) {
      throw new Error(`the template has ${ids.length} resources ${type} with ${part}`);
    }
    return id;
  }

  /** The ARN of the only resource of a type whose logical id contains `part`. */
  arnOf(type: string, part = ''): string {
    return this.arn(this.idOf(type, part));
  }

  /**
   * The statements of all policies of a role or managed policy whose logical id contains `name`.
   */
  statements(name: string): Statement[] {
    const policies = Object.entries(this.resources).filter(
      ([id, { Type }]) =>
        id.includes(name) && ['AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy'].includes(Type),
    );
    return policies.flatMap(
      ([, policy]) => this.plain(policy.Properties.PolicyDocument).Statement as Statement[],
    );
  }

  /** A value with tokens, as it is after the deployment. */
  text(value: string): string {
    return this.plain(this.stack.resolve(value)) as string;
  }

  // biome-ignore lint/suspicious/noExplicitAny: templates have no types
  plain(value: any): any {
    if (Array.isArray(value)) {
      return value.map((item) => this.plain(item)).filter((item) => item !== undefined);
    }
    if (value === null || typeof value !== 'object') {
      return value;
    }
    const [[name, argument] = [undefined, undefined], ...rest] = Object.entries(value);
    if (name !== undefined && rest.length === 0) {
      if (name === 'Ref') {
        return this.reference(argument as string);
      }
      if (name === 'Fn::GetAtt') {
        const [id, attribute] = argument as [string, string];
        return attribute === 'Arn' ? this.arn(id) : `${id}.${attribute}`;
      }
      if (name === 'Fn::Join') {
        const [separator, parts] = argument as [string, unknown[]];
        return this.plain(parts).join(separator);
      }
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.plain(item)]));
  }

  private reference(id: string): string | undefined {
    const pseudo: { [name: string]: string | undefined } = {
      'AWS::Partition': 'aws',
      'AWS::AccountId': ACCOUNT,
      'AWS::Region': REGION,
      'AWS::URLSuffix': 'amazonaws.com',
    };
    if (id in pseudo || id === 'AWS::NoValue') {
      return pseudo[id];
    }
    return REF_IS_ARN.includes(this.resources[id]?.Type ?? '') ? this.arn(id) : id;
  }

  private arn(id: string): string {
    const alias = this.resources[id];
    if (alias?.Type === 'AWS::Lambda::Alias') {
      return `${this.arn(alias.Properties.FunctionName.Ref)}:${alias.Properties.Name}`;
    }
    const type = this.resources[id]?.Type ?? '';
    const rest = SERVICES[type];
    return rest ? `arn:aws:${rest(this.nameOf(id, type))}` : `${id}.Arn`;
  }

  private nameOf(id: string, type: string): string {
    return type === 'AWS::ECS::TaskDefinition' ? this.resources[id]?.Properties.Family : id;
  }
}
