import { Duration } from 'aws-cdk-lib';
import { bootstrapProblem } from '../bootstrap-zip';
import type { FlameReaperProps } from '../flame-reaper';
import type { Problems } from '../problems';
import { checkDuration } from '../range';

export const DEFAULT_INTERVAL = Duration.minutes(15);
/** The defaults and limits of `control/reaper/src/settings.rs`. */
export const DEFAULT_MIN_AGE = Duration.minutes(10);
export const DEFAULT_PAUSE = Duration.minutes(1);
const MAX_MIN_AGE = Duration.days(7);
const MAX_PAUSE = Duration.minutes(10);
const MAX_INTERVAL = Duration.days(1);
/** The time for the requests of a search: twice what `control/reaper/src/handler.rs` requires. */
const TIME_FOR_REQUESTS = Duration.minutes(1);

/** The timeout of the function: the pause, and the time for the requests of both looks. */
export function timeoutFor(pause: Duration): Duration {
  return pause.plus(TIME_FOR_REQUESTS);
}

/** Checks the props of a reaper. */
export function checkReaperProps(props: FlameReaperProps, problems: Problems): void {
  const problem = bootstrapProblem(props.bootstrap);
  problems.require(problem === undefined, `\`bootstrap\`: ${problem}`);
  const pause = props.pause ?? DEFAULT_PAUSE;
  checkDuration('minAge', props.minAge, { min: 0, max: MAX_MIN_AGE.toSeconds() }, problems);
  checkDuration('pause', props.pause, { min: 0, max: MAX_PAUSE.toSeconds() }, problems);
  const interval = props.interval ?? DEFAULT_INTERVAL;
  const min = pause.isUnresolved() ? 0 : timeoutFor(pause).toSeconds();
  const why = ', so that one search ends before the next begins';
  checkDuration('interval', interval, { min, max: MAX_INTERVAL.toSeconds() }, problems, why);
  problems.require(
    interval.isUnresolved() || interval.toMilliseconds() % 60_000 === 0,
    '`interval` is not a whole number of minutes, which EventBridge requires',
  );
}
