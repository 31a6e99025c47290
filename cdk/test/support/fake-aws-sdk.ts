/** Stands for the AWS SDK, which the runtime of Lambda brings. It records the requests. */

type Input = { [name: string]: unknown };
type Answer = (request: string, input: Input) => unknown;

/** The requests, in their order. */
export const sent: [string, Input][] = [];
let answer: Answer = () => ({});

/** Decides what later requests return or throw. */
export function answerWith(next: Answer): void {
  sent.length = 0;
  answer = next;
}

class Command {
  constructor(readonly input: Input) {}
}

class Client {
  async send(command: Command): Promise<unknown> {
    const name = command.constructor.name.replace(/Command$/, '');
    const given = Object.entries(command.input).filter(([, value]) => value !== undefined);
    const input = Object.fromEntries(given);
    sent.push([name, input]);
    return answer(name, input);
  }
}

export class ECSClient extends Client {}
export class SecretsManagerClient extends Client {}
export class DescribeServicesCommand extends Command {}
export class UpdateServiceCommand extends Command {}
export class DescribeSecretCommand extends Command {}
export class GetSecretValueCommand extends Command {}
export class PutSecretValueCommand extends Command {}
export class UpdateSecretVersionStageCommand extends Command {}
