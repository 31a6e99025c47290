import { Duration, Size, Token } from 'aws-cdk-lib';
import { checkFargateSize } from '../pool/fargate-size';
import type { Problems } from '../problems';
import { checkDuration, checkNumber } from '../range';
import { EXIT_MARGIN } from './endpoint';
import type { FlameRelayProps } from './props';

export const DEFAULT_CPU = 512;
export const DEFAULT_MEMORY = Size.gibibytes(1);

const DAY = 24 * 60 * 60;
/** The most relays of a pool: `control/src/relay.rs`. */
const MAX_ENDPOINTS = 3;
const MAX_DRAIN_TIME = Duration.seconds(120).minus(EXIT_MARGIN);
/** The variables that the construct sets. */
const OWN_VARIABLES = [
  'FLAME_RELAY_LISTEN',
  'FLAME_RELAY_METRICS_LISTEN',
  'FLAME_RELAY_DRAIN_TIME',
  'FLAME_RELAY_KEYS',
  'FLAME_RELAY_KEY_FILE',
  'FLAME_RELAY_TLS_CERT',
  'FLAME_RELAY_TLS_KEY',
];

/** Checks the props of a relay. */
export function checkRelayProps(props: FlameRelayProps, problems: Problems): void {
  const { domainName } = props;
  problems.require(
    Token.isUnresolved(domainName) || /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(domainName),
    `\`domainName\` is \`${domainName}\`: write a name such as relay.example.com, without scheme and port`,
  );
  checkNumber('endpoints', props.endpoints, { min: 1, max: MAX_ENDPOINTS }, problems);
  checkNumber('port', props.port, { min: 1, max: 65_535 - MAX_ENDPOINTS }, problems);
  checkFargateSize(props.cpu ?? DEFAULT_CPU, props.memory ?? DEFAULT_MEMORY, problems, '');
  checkDuration(
    'drainTime',
    props.drainTime,
    { min: 1, max: MAX_DRAIN_TIME.toSeconds() },
    problems,
    `, because Fargate kills a task 120 s after SIGTERM, and a node needs ${EXIT_MARGIN.toSeconds()} s to exit`,
  );
  checkNumber('scaling.maxNodes', props.scaling?.maxNodes, { min: 2, max: 100 }, problems);
  const connections = props.scaling?.connectionsPerNode;
  checkNumber('scaling.connectionsPerNode', connections, { min: 1, max: 65_536 }, problems);
  checkDuration(
    'keyRotation',
    props.keyRotation,
    { min: DAY, max: 1_000 * DAY },
    problems,
    ' (1 to 1,000 days)',
  );
  for (const name of Object.keys(props.environment ?? {})) {
    problems.require(
      !OWN_VARIABLES.includes(name),
      `\`environment\` sets ${name}, which the construct sets itself: remove it`,
    );
  }
}
