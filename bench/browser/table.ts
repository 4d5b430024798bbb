import type { Kind } from './page/peer.ts';
import type { Attempts, Samples } from './samples.ts';

/** What Moim's is to reach: at most, or where more is better at least, so many times the other's. */
export interface Aim {
  of: 'js' | 'limit';
  factor: number;
}

/** One thing that was measured. */
export interface Row {
  what: string;
  unit: string;
  better: 'less' | 'more';
  samples: Samples;
  /** The bare thing of the browser that limits it. */
  limit: Kind;
  aims: Aim[];
}

const NAMES: Record<Aim['of'], string> = { js: 'js', limit: 'bare' };

/** Three digits, as far as they mean anything. */
function figure(value: number): string {
  if (!Number.isFinite(value)) {
    return '–';
  }
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

function cell({ samples }: Row, kind: Kind): string {
  const value = samples.median(kind);
  if (!Number.isFinite(value)) {
    return '–';
  }
  const [low, high] = samples.range(kind);
  return `**${figure(value)}** (${figure(low)}–${figure(high)})`;
}

function ratio({ samples }: Row, kind: Kind): number {
  return samples.median('ours') / samples.median(kind);
}

function aimText({ better }: Row, { of, factor }: Aim): string {
  return `${better === 'less' ? '≤' : '≥'} ${factor} × ${NAMES[of]}`;
}

/** Whether an aim is met; nothing where one side is missing. */
export function isMet(row: Row, { of, factor }: Aim): boolean | undefined {
  const reached = ratio(row, of === 'js' ? 'js' : row.limit);
  if (!Number.isFinite(reached)) {
    return undefined;
  }
  return row.better === 'less' ? reached <= factor : reached >= factor;
}

const verdict = (met: boolean | undefined): string =>
  met === undefined ? '?' : met ? 'yes' : '**no**';

function line(row: Row): string[] {
  return [
    `${row.what}, ${row.unit}`,
    cell(row, 'ours'),
    cell(row, 'js'),
    cell(row, row.limit),
    figure(ratio(row, 'js')),
    figure(ratio(row, row.limit)),
    row.aims.map((aim) => aimText(row, aim)).join('; '),
    row.aims.map((aim) => verdict(isMet(row, aim))).join('; '),
  ];
}

/** Of so many attempts, this part has to succeed: 199 of 200. */
const SUCCESS_MIN = 199 / 200;

function successLine(attempts: Attempts): string[] {
  const count = (kind: Kind): string => {
    const made = attempts.made(kind);
    return `${made - attempts.failures(kind).length} of ${made}`;
  };
  const made = attempts.made('ours');
  const met = made - attempts.failures('ours').length >= Math.floor(made * SUCCESS_MIN);
  return [
    'relayed to direct, attempts that succeed',
    count('ours'),
    count('js'),
    count('raw'),
    '',
    '',
    '199 of 200',
    verdict(met),
  ];
}

/** One table in Markdown. */
export function table(rows: Row[], limit: string, attempts?: Attempts): string {
  const lines = [
    ['', 'Moim', 'js-libp2p', limit, 'Moim : js', 'Moim : bare', 'aim', 'met'],
    ['---', '---', '---', '---', '---', '---', '---', '---'],
    ...(attempts === undefined ? [] : [successLine(attempts)]),
    ...rows.map(line),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
