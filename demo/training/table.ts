/** The training as a table of numbers. */
import type { Measurement } from '../network/experiment.js';
import { element } from '../page/dom.js';
import { percent } from '../page/numbers.js';

const ROWS = 12;

/** Shows a few measurements spread evenly over the history, the latest last. Updates the table only while it is open. */
export function showHistory(history: readonly Measurement[]): void {
  const table = element<HTMLTableElement>('history');
  if (!table.closest('details')!.open) return;
  const count = Math.min(ROWS, history.length);
  const rows = Array.from({ length: count }, (_, i) => history[Math.round(((i + 1) * history.length) / count) - 1]!);
  table.tBodies[0]!.replaceChildren(...rows.map(({ step, networks }) => {
    const row = document.createElement('tr');
    const cells = [
      ...networks.map(({ accuracy }) => percent(accuracy)),
      ...networks.map(({ loss, divergedAt }) => (divergedAt === null ? loss.toFixed(2) : 'diverged')),
    ];
    const header = document.createElement('th');
    header.scope = 'row';
    header.textContent = step.toLocaleString('en');
    row.append(header, ...cells.map((text) => Object.assign(document.createElement('td'), { textContent: text })));
    return row;
  }));
}
