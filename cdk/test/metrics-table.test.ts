import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { METRICS, MetricBackend, type MetricRow } from '../src';

const CONTROL = join(__dirname, '..', '..', 'control');
const METRICS_OF_RUST = join(CONTROL, 'src', 'metrics');

/** A row without its scope, which the page does not have. */
type PageRow = Omit<MetricRow, 'scope'>;

/** The rows of the page that a test of the library compares with the library's table. */
function rowsOfPage(): PageRow[] {
  const lines = readFileSync(join(METRICS_OF_RUST, 'README.md'), 'utf8').split('\n');
  return lines.filter((line) => line.startsWith('| `')).map(parsed);
}

function parsed(line: string): PageRow {
  const [name = '', kind, unit, attribute = ''] = line
    .split('|')
    .slice(1)
    .map((cell) => cell.trim());
  const [key, ...values] = codes(attribute);
  return {
    name: codes(name)[0] ?? '',
    kind: kind as MetricRow['kind'],
    unit: (unit || 'count') as MetricRow['unit'],
    ...(key !== undefined && { attribute: key, values }),
  };
}

/** The parts of a text that are marked as code. */
function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '');
}

test('the table has the metrics of the library with their attributes, and no other', () => {
  const rows = METRICS.map(({ scope: _, ...row }: MetricRow) => row);
  const page = rowsOfPage();
  expect(page.length).toBeGreaterThan(0);
  expect(rows).toEqual(page);
});

test('the same metrics as in the library belong to the process', () => {
  const source = readFileSync(join(METRICS_OF_RUST, 'table.rs'), 'utf8');
  const rows = [...source.matchAll(/name: "([^"]+)",[^}]*?scope: Scope::(\w+),/g)];
  const scopes = Object.fromEntries(rows.map(([, name, scope]) => [name, scope?.toLowerCase()]));
  expect(Object.fromEntries(METRICS.map(({ name, scope }) => [name, scope]))).toEqual(scopes);
});

test('backends have the names that the library gives them', () => {
  const source = readFileSync(join(CONTROL, 'wire', 'src', 'parent.rs'), 'utf8');
  const names = Object.fromEntries(
    [...source.matchAll(/HostKind::(\w+) => "(\w+)"/g)].map(([, kind, name]) => [
      kind?.toUpperCase(),
      name,
    ]),
  );
  expect(names).toMatchObject(MetricBackend);
});
