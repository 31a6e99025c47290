import { Duration } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { type FlamePoolDashboard, type FlamePoolProps, METRICS, type MetricRow } from '../src';
import { lambdaCode, newPool } from './support/stacks';
import { Deployed } from './support/template';

const metrics = { app: 'my-app', pool: 'thumbs' };
const both = { ecs: {}, lambda: { code: lambdaCode() } };

/** A line of a graph: a metric as an array of names, or an expression. */
type Line = (string | { id?: string; expression?: string; label?: string; stat?: string })[];

interface Widget {
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly properties: {
    title?: string;
    stacked?: boolean;
    markdown?: string;
    metrics?: Line[];
    alarms?: string[];
  };
}

/** The dashboard of a pool. */
function dashboardOf(dashboard: FlamePoolDashboard = {}, props: FlamePoolProps = {}) {
  const { stack, pool } = newPool({ ...both, metrics, dashboard, ...props });
  const deployed = new Deployed(stack);
  const { DashboardName, DashboardBody } = deployed.only('AWS::CloudWatch::Dashboard');
  const { widgets, start }: { widgets: Widget[]; start?: string } = JSON.parse(DashboardBody);
  const graph = (title: string) => {
    const found = widgets.filter(({ properties }) => properties.title === title);
    expect(found.length, title).toBe(1);
    return found[0]?.properties.metrics ?? [];
  };
  return { pool, deployed, name: DashboardName, start, widgets, graph };
}

/** The metrics that a line names, or that its graph computes it from. */
function namesIn(lines: Line[]): string[] {
  return lines.map((line) => (typeof line[0] === 'string' ? `${line[0]}/${line[1]}` : ''));
}

test('the dashboard answers its questions from top to bottom, the most urgent one first', () => {
  const { widgets } = dashboardOf({}, { alarms: {} });
  const headings = widgets.filter(({ type }) => type === 'text');
  expect(headings.map(({ properties }) => properties.markdown)).toEqual([
    '## Is it healthy?',
    '## How busy is it?',
    '## How long do calls wait and run?',
    '## How long do boots take, and why do runners end?',
    '## How much data, at what cost, and how near are the limits of AWS?',
  ]);
  expect(widgets[0]?.type).toBe('alarm');
  for (const [index, { y }] of widgets.entries()) {
    expect(y).toBeGreaterThanOrEqual(widgets[index - 1]?.y ?? 0);
  }
});

test.each<[string, FlamePoolProps]>([
  ['ECS and Lambda', {}],
  ['ECS', { lambda: undefined }],
  ['Lambda', { ecs: undefined }],
])('the rows of a dashboard for %s are as wide as the page', (_, props) => {
  const widths = new Map<number, number>();
  for (const { y, width } of dashboardOf({}, props).widgets) {
    widths.set(y, (widths.get(y) ?? 0) + width);
  }
  expect([...widths.values()]).toEqual(Array(10).fill(24));
});

test('every series of the table is in a graph', () => {
  const { widgets } = dashboardOf();
  const shown = new Set(widgets.flatMap(({ properties }) => namesIn(properties.metrics ?? [])));
  const series = METRICS.flatMap(({ name, values }: MetricRow) =>
    values ? values.map((value) => `${name}.${value}`) : [name],
  );
  expect(series.filter((name) => !shown.has(`Flame/${name}`))).toEqual([]);
});

test('calls that succeeded are not among those that failed', () => {
  const { graph } = dashboardOf();
  const failed = namesIn(graph('Calls that failed'));
  expect(failed).toContain('Flame/flame.calls.runner_lost');
  expect(failed).not.toContain('Flame/flame.calls.ok');
});

test('the phases of a boot are averages where they are stacked', () => {
  const { widgets } = dashboardOf();
  const boots = widgets.filter(({ properties }) => properties.title?.startsWith('Boots, by phase'));
  const shown = boots.map(({ properties: { stacked, metrics } }) => {
    const statistics = metrics?.map((line) => line.at(-1)) as { stat?: string }[];
    return [stacked ?? false, [...new Set(statistics.map(({ stat }) => stat))]];
  });
  // Without a statistic, CloudWatch shows the average.
  expect(shown).toEqual([
    [true, [undefined]],
    [false, ['p99']],
  ]);
});

test('a gauge is the total of all parents, whatever the period of the graph', () => {
  const minutely = dashboardOf().graph('Runners');
  const [expression, metric] = minutely as [Line, Line];
  expect(expression).toMatchObject([
    {
      expression: 'flame_runners_booting_sum * 60 / PERIOD(flame_runners_booting_sum)',
      label: 'booting',
    },
  ]);
  expect(metric).toMatchObject([
    ...['Flame', 'flame.runners.booting', 'App', 'my-app', 'Pool', 'thumbs'],
    { stat: 'Sum', id: 'flame_runners_booting_sum' },
  ]);
  const period = Duration.seconds(10);
  const often = dashboardOf({}, { metrics: { ...metrics, period } }).graph('Runners');
  expect(often[0]).toMatchObject([{ expression: expect.stringContaining(' * 10 / PERIOD(') }]);
});

test('the alarms of the pool are on the dashboard', () => {
  const { deployed, widgets } = dashboardOf({}, { alarms: { orphans: false } });
  const [status] = widgets;
  const alarms = Object.entries(deployed.resources)
    .filter(([, { Type }]) => Type === 'AWS::CloudWatch::Alarm')
    .map(([id]) => `${id}.Arn`);
  expect(alarms.length).toBe(7);
  expect(status?.properties.alarms?.toSorted()).toEqual(alarms.toSorted());
});

test('limits of ECS and Lambda are shown for runners there', () => {
  const limits = ['Quota of Fargate in use', 'Lambda'];
  const shown = (props: FlamePoolProps) => {
    const titles = dashboardOf({}, props).widgets.map(({ properties }) => properties.title ?? '');
    return titles.filter((title) => limits.includes(title));
  };
  expect(shown({})).toEqual(limits);
  expect(shown({ lambda: undefined })).toEqual(['Quota of Fargate in use']);
  expect(shown({ ecs: undefined })).toEqual(['Lambda']);
});

test('a dashboard can have a name and an interval, and a pool gives it', () => {
  const { pool, name, start } = dashboardOf({ name: 'thumbs', interval: Duration.hours(12) });
  expect([name, start]).toEqual(['thumbs', '-PT12H']);
  expect(pool.dashboard?.node.path).toBe('Test/Pool/Dashboard');
  expect(newPool({ metrics }).pool.dashboard).toBeUndefined();
});
