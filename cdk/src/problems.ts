import type { IConstruct } from 'constructs';

/** Collects everything that is wrong with the props of a construct, so that one error names all. */
export class Problems {
  private readonly found: string[] = [];

  /** Adds a problem, such as "`port` is 0: it must be a number from 1 to 65535". */
  add(problem: string): void {
    this.found.push(problem);
  }

  /** Adds the problem unless the condition holds. */
  require(holds: boolean, problem: string): void {
    if (!holds) {
      this.add(problem);
    }
  }

  /** Throws an error that lists all problems, if there are any. */
  throwFor(construct: IConstruct): void {
    if (this.found.length > 0) {
      throw this.errorFor(construct);
    }
  }

  /** The error that lists all problems. */
  errorFor(construct: IConstruct): Error {
    const name = `${construct.constructor.name} ${construct.node.path}`;
    return new Error(`${name} can't be created: ${this.found.join('; ')}`);
  }
}
