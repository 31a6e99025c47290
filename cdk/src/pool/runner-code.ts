import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FileSystem } from 'aws-cdk-lib';
import type { IRepository } from 'aws-cdk-lib/aws-ecr';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { ContainerImage, type CpuArchitecture } from 'aws-cdk-lib/aws-ecs';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { bootstrapProblem } from '../bootstrap-zip';
import { buildOf } from '../own-image';
import { isArm } from './architecture';

/** The Dockerfile of an image with the generic runner and nothing else. */
const EXECUTABLE_IMAGE = `FROM scratch
COPY flame-runner /flame-runner
VOLUME /tmp
ENTRYPOINT ["/flame-runner"]
`;

/** Options of `RunnerCode.generic`. Set at most one of them. */
export interface GenericRunnerOptions {
  /**
   * An image of the generic runner that is in a registry. Only ECS can use it.
   * @default - the image is built from `executable`, or from the Dockerfile of this package
   */
  readonly image?: ContainerImage;
  /**
   * The path of the program `flame-runner`, static and for the architecture of the pool. ECS gets
   * an image with nothing else in it, and Lambda gets a zip file.
   * @default - the Dockerfile of this package compiles it, from the checkout that has this package,
   * or else from the published crate
   */
  readonly executable?: string;
}

/** Options of `RunnerCode.fromImageAsset`. */
export interface ImageAssetOptions {
  /**
   * The path of the Dockerfile, relative to the folder.
   * @default 'Dockerfile'
   */
  readonly file?: string;
  /**
   * The stage of the Dockerfile to build.
   * @default - the last stage
   */
  readonly target?: string;
  /**
   * The arguments of the build.
   * @default - none
   */
  readonly buildArgs?: { [name: string]: string };
}

/**
 * The code of a function of runners.
 * @internal
 */
export interface FunctionCode {
  readonly code: Code;
  /** Whether the code is an image. Otherwise it is a zip file with a `bootstrap`. */
  readonly isImage: boolean;
}

/**
 * The code of a pool's runners: the generic runner, or the app itself.
 *
 * An app that is the runners' code must be the same build as its parent.
 */
export abstract class RunnerCode {
  /**
   * The generic runner, which downloads its parent's executable and becomes it. The app's pool
   * needs `code_sync(true)`. A new build of the app needs no deployment.
   */
  static generic(options: GenericRunnerOptions = {}): RunnerCode {
    const { image, executable } = options;
    if (image !== undefined && executable !== undefined) {
      throw new Error('RunnerCode.generic: `image` and `executable` are both set: set one of them');
    }
    if (image !== undefined) {
      return new RegistryImage(image);
    }
    if (executable !== undefined) {
      return new Executable(executable);
    }
    const { directory, ...build } = buildOf('runner');
    return new BuiltImage(directory, build);
  }

  /** An image of the app in a repository of ECR, for runners on ECS and on Lambda. */
  static fromEcr(repository: IRepository, tagOrDigest = 'latest'): RunnerCode {
    return new EcrImage(repository, tagOrDigest);
  }

  /** An image of the app that `cdk deploy` builds with Docker, for runners on ECS and on Lambda. */
  static fromImageAsset(directory: string, options: ImageAssetOptions = {}): RunnerCode {
    return new BuiltImage(directory, options);
  }

  /** An image of the app in any registry. Only ECS can use it. */
  static fromContainerImage(image: ContainerImage): RunnerCode {
    return new RegistryImage(image);
  }

  /** A zip file, or a folder, with the app as `bootstrap`. Only Lambda can use it. */
  static fromBootstrapZip(path: string): RunnerCode {
    return new BootstrapZip(path);
  }

  /**
   * The image for ECS, if ECS can run this code.
   * @internal
   */
  abstract _imageForEcs(architecture: CpuArchitecture): ContainerImage | undefined;

  /**
   * The code for Lambda, if Lambda can run it.
   * @internal
   */
  abstract _codeForLambda(architecture: CpuArchitecture): FunctionCode | undefined;
}

class EcrImage extends RunnerCode {
  constructor(
    private readonly repository: IRepository,
    private readonly tagOrDigest: string,
  ) {
    super();
  }

  override _imageForEcs(): ContainerImage {
    return ContainerImage.fromEcrRepository(this.repository, this.tagOrDigest);
  }

  override _codeForLambda(): FunctionCode {
    const code = Code.fromEcrImage(this.repository, { tagOrDigest: this.tagOrDigest });
    return { code, isImage: true };
  }
}

class BuiltImage extends RunnerCode {
  constructor(
    private readonly directory: string,
    private readonly options: ImageAssetOptions,
  ) {
    super();
  }

  override _imageForEcs(architecture: CpuArchitecture): ContainerImage {
    return ContainerImage.fromAsset(this.directory, this.build(architecture));
  }

  override _codeForLambda(architecture: CpuArchitecture): FunctionCode {
    const code = Code.fromAssetImage(this.directory, this.build(architecture));
    return { code, isImage: true };
  }

  private build(architecture: CpuArchitecture) {
    const platform = isArm(architecture) ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64;
    return { ...this.options, platform };
  }
}

class RegistryImage extends RunnerCode {
  constructor(private readonly image: ContainerImage) {
    super();
  }

  override _imageForEcs(): ContainerImage {
    return this.image;
  }

  override _codeForLambda(): undefined {
    return undefined;
  }
}

class BootstrapZip extends RunnerCode {
  constructor(private readonly path: string) {
    super();
    const problem = bootstrapProblem(path);
    if (problem !== undefined) {
      throw new Error(`RunnerCode.fromBootstrapZip: ${problem}`);
    }
  }

  override _imageForEcs(): undefined {
    return undefined;
  }

  override _codeForLambda(): FunctionCode {
    return { code: Code.fromAsset(this.path), isImage: false };
  }
}

class Executable extends RunnerCode {
  private readonly folders = new Map<string, string>();

  constructor(private readonly path: string) {
    super();
    if (!existsSync(path)) {
      throw new Error(
        `RunnerCode.generic: \`executable\` is ${resolve(path)}, which does not exist`,
      );
    }
  }

  override _imageForEcs(architecture: CpuArchitecture): ContainerImage {
    const folder = this.copyAs('flame-runner');
    writeFileSync(join(folder, 'Dockerfile'), EXECUTABLE_IMAGE);
    return new BuiltImage(folder, {})._imageForEcs(architecture);
  }

  override _codeForLambda(): FunctionCode {
    return { code: Code.fromAsset(this.copyAs('bootstrap')), isImage: false };
  }

  /** Copies the program to a folder of its own, which becomes an asset. */
  private copyAs(name: string): string {
    const known = this.folders.get(name);
    if (known !== undefined) {
      return known;
    }
    const folder = FileSystem.mkdtemp('flame-runner-');
    copyFileSync(this.path, join(folder, name));
    this.folders.set(name, folder);
    return folder;
  }
}
