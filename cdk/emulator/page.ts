import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A command of a page that a test does not run as it is written. */
export interface Exception {
  /** Matches the command from its beginning. */
  readonly command: RegExp;
  /** Why the test does not run it. */
  readonly why: string;
  /** What the test runs instead. */
  readonly instead?: string;
}

/** The commands of a page: its blocks of the language `sh`, under the headings of its sections. */
export class Page {
  private readonly blocks: { section: string; commands: string[] }[] = [];

  constructor(path: string) {
    let section = '';
    let block: string[] | undefined;
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (block === undefined) {
        section = line.startsWith('## ') ? line.slice(3) : section;
        block = line === '```sh' ? [] : undefined;
      } else if (line === '```') {
        this.blocks.push({ section, commands: logicalLines(block) });
        block = undefined;
      } else {
        block.push(line);
      }
    }
  }

  /** The sections that have commands. */
  get sections(): string[] {
    return [...new Set(this.blocks.map(({ section }) => section))];
  }

  /**
   * The blocks of a section as scripts, with the exceptions in place of what they match. An
   * exception that matches no command of the page is an error.
   */
  scripts(section: string, exceptions: Exception[]): string[] {
    const all = this.blocks.flatMap(({ commands }) => commands);
    const unused = exceptions.find(({ command }) => !all.some((line) => command.test(line)));
    if (unused !== undefined) {
      throw new Error(`the page has no command that matches ${unused.command}`);
    }
    return this.blocks
      .filter((block) => block.section === section)
      .map(({ commands }) => commands.map((line) => replaced(line, exceptions)).join('\n'));
  }
}

/** The lines of a block, with lines that end in a backslash and their next ones as one. */
function logicalLines(block: string[]): string[] {
  return block.join('\n').split(/(?<!\\)\n/);
}

function replaced(line: string, exceptions: Exception[]): string {
  const exception = exceptions.find(({ command }) => command.test(line));
  return exception === undefined ? line : (exception.instead ?? '');
}

/** A shell that runs one script after another, and ends with the first command that fails. */
export class Shell {
  private readonly child;
  private readonly lines: AsyncIterator<string>;

  constructor(cwd: string, env: NodeJS.ProcessEnv) {
    this.child = spawn('bash', [], { cwd, env, stdio: ['pipe', 'pipe', 'ignore'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.child.stdin.write('exec 2>&1\nset -euo pipefail\n');
  }

  /** Runs a script in the shell, and returns what it prints. */
  async run(script: string): Promise<string> {
    const mark = '-- the end of a script --';
    this.child.stdin.write(`${script}\necho\necho '${mark}'\n`);
    const printed: string[] = [];
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) {
        throw new Error(`the shell has ended in this script:\n${script}\n\n${printed.join('\n')}`);
      }
      if (value === mark) {
        return printed.join('\n');
      }
      printed.push(value);
    }
  }

  /** Ends the shell. */
  end(): void {
    this.child.stdin.end();
  }
}
