import type { Duration } from 'aws-cdk-lib';
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type GraphWidgetProps,
  type IMetric,
  type IWidget,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { MeteredPool } from './metered-pool';
import type { PoolMetric } from './options';
import { type Platform, vcpuQuotas } from './platform';
import type { PoolSeries } from './series';
import * as table from './table';

/** The dashboard of a pool. */
export interface FlamePoolDashboard {
  /**
   * The name of the dashboard.
   * @default - CloudFormation gives it a name
   */
  readonly name?: string;
  /**
   * How much of the past the dashboard shows when it is opened.
   * @default - CloudWatch's own default
   */
  readonly interval?: Duration;
}

/** The width of a dashboard, in columns. */
const FULL_WIDTH = 24;

/** Some graphs that answer one question. */
interface Section {
  readonly question: string;
  readonly graphs: GraphWidgetProps[];
}

/** Creates the dashboard of a pool. */
export function newDashboard(
  pool: MeteredPool,
  options: FlamePoolDashboard,
  alarms: Alarm[],
  platform: Platform,
): Dashboard {
  const status = new AlarmStatusWidget({ title: 'Alarms', alarms, width: FULL_WIDTH });
  const sections = sectionsOf(pool._series, platform).map(widgets);
  return new Dashboard(pool, 'Dashboard', {
    dashboardName: options.name,
    defaultInterval: options.interval,
    widgets: [...(alarms.length > 0 ? [[status]] : []), ...sections.flat()],
  });
}

/** The heading of a section, and below it the graphs, side by side. */
function widgets({ question, graphs }: Section): IWidget[][] {
  const heading = new TextWidget({ markdown: `## ${question}`, width: FULL_WIDTH, height: 1 });
  const width = FULL_WIDTH / graphs.length;
  return [[heading], graphs.map((graph) => new GraphWidget({ width, ...graph }))];
}

/** The sections, the most urgent one first. */
function sectionsOf(series: PoolSeries, platform: Platform): Section[] {
  const total = (row: table.MetricRow, label: string) => series.metric(row, undefined, { label });
  return [
    {
      question: 'Is it healthy?',
      graphs: [
        stack('Calls that failed', byValue(series, table.CALLS, { except: 'ok' })),
        stack('Boots that failed', byValue(series, table.BOOT_FAILURES)),
        lines('Other faults', [
          total(table.ORPHANS_STOPPED, 'orphans stopped'),
          total(table.REFUSED_CLIENTS, 'clients refused'),
          total(table.RECONNECTS, 'links resumed'),
          total(table.LOG_LINES_DROPPED, 'log lines dropped'),
          total(table.METRICS_DROPPED, 'metrics dropped'),
        ]),
      ],
    },
    {
      question: 'How busy is it?',
      graphs: [
        stack(
          'Runners',
          table.RUNNERS.values.map((state) => series.ofAllParents(table.RUNNERS, state, state)),
        ),
        lines('Slots', [
          series.ofAllParents(table.LEASES, undefined, 'in use'),
          series.ofAllParents(table.QUEUE_LENGTH, undefined, 'calls that wait for one'),
        ]),
        lines('Calls that succeeded', [series.metric(table.CALLS, 'ok', { label: 'ok' })]),
      ],
    },
    {
      question: 'How long do calls wait and run?',
      graphs: [
        percentiles('Waiting for a slot', series, 'queue'),
        percentiles('Running', series, 'run'),
        percentiles('Decoding the result', series, 'reply'),
      ],
    },
    {
      question: 'How long do boots take, and why do runners end?',
      graphs: [
        // Averages of phases add up, and percentiles do not.
        stack(
          'Boots, by phase: average',
          byValue(series, table.BOOT_DURATION, { statistic: Stats.AVERAGE }),
          'Seconds',
        ),
        lines('Boots, by phase: 99th percentile', byValue(series, table.BOOT_DURATION), 'Seconds'),
        stack('Runners that ended', byValue(series, table.RUNNER_EXITS)),
      ],
    },
    {
      question: 'How much data, at what cost, and how near are the limits of AWS?',
      graphs: [
        lines('Bytes', byValue(series, table.LINK_BYTES), 'Bytes'),
        lines('Cost, an estimate', [total(table.COST, 'of the runners')], 'US dollars'),
        ...platformGraphs(platform),
      ],
    },
  ];
}

function platformGraphs(platform: Platform): GraphWidgetProps[] {
  const quotas = vcpuQuotas(platform).map(({ used }) => used);
  const { function: runnerFunction } = platform;
  return [
    ...(quotas.length > 0 ? [lines('Quota of Fargate in use', quotas, 'Percent')] : []),
    ...(runnerFunction
      ? [
          lines('Lambda', [
            runnerFunction.metric('ConcurrentExecutions', {
              statistic: Stats.MAXIMUM,
              label: 'invocations at a time',
            }),
            runnerFunction.metricThrottles({ label: 'throttled' }),
            runnerFunction.metricErrors({ label: 'failed' }),
          ]),
        ]
      : []),
  ];
}

/** A metric for each value of the attribute. */
function byValue(
  series: PoolSeries,
  row: table.MetricRow,
  options: { statistic?: string; except?: string } = {},
): PoolMetric[] {
  const { except, ...rest } = options;
  const values = (row.values ?? []).filter((value) => value !== except);
  return values.map((value) => series.metric(row, value, { label: value, ...rest }));
}

function percentiles(title: string, series: PoolSeries, phase: table.CallPhase): GraphWidgetProps {
  const metrics = [50, 99].map((percent) =>
    series.metric(table.CALL_DURATION, phase, {
      statistic: Stats.p(percent),
      label: `p${percent}`,
    }),
  );
  return lines(title, metrics, 'Seconds');
}

function lines(title: string, left: IMetric[], label = 'Count'): GraphWidgetProps {
  return { title, left, leftYAxis: { label, min: 0, showUnits: false } };
}

function stack(title: string, left: IMetric[], label?: string): GraphWidgetProps {
  return { ...lines(title, left, label), stacked: true };
}
