import type { IBucket } from 'aws-cdk-lib/aws-s3';

/**
 * A folder of a bucket through which the parent gives its executable to generic runners. The app's
 * pool needs `code_store("s3://BUCKET/PREFIX")`.
 */
export interface CodeStore {
  /** The bucket. Runners read from it by presigned URLs, so they need no permission. */
  readonly bucket: IBucket;
  /**
   * The folder in the bucket.
   * @default 'flame-code'
   */
  readonly prefix?: string;
}

/** The folder of a code store, without slashes at its ends. */
export function codeStorePrefix(store: CodeStore): string {
  return (store.prefix ?? 'flame-code').replace(/^\/+|\/+$/g, '');
}
