import { spawn } from 'node:child_process';

/** What a program has printed, to stdout and stderr, and its exit code. */
export interface Finished {
  readonly output: string;
  readonly code: number | null;
}

/** Runs a program until it exits. */
export function run(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ output, code }));
  });
}

/** Runs a program, and throws an error with its output if it fails. Returns the output. */
export async function succeed(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { output, code } = await run(program, args, options);
  if (code !== 0) {
    throw new Error(`\`${program} ${args.join(' ')}\` exited with ${code}:\n${output}`);
  }
  return output;
}
