/** The batch as a table of numbers. */
import { element, make, showText } from '../page/dom.js';
import { decimal } from '../page/numbers.js';
import { SIZE, type Steps } from './steps.js';

let cells: { values: Element[][]; means: Element[] } | undefined;

export function showTable(x: Float64Array, { normalised, y, dx }: Steps): void {
  cells ??= makeCells();
  const { values, means } = cells;
  [x, normalised, y, dx].forEach((column, k) => {
    column.forEach((value, i) => { showText(values[i]![k]!, decimal(value)); });
    showText(means[k]!, decimal(column.reduce((sum, value) => sum + value, 0) / SIZE));
  });
}

function makeCells(): { values: Element[][]; means: Element[] } {
  const table = element<HTMLTableElement>('batch-table');
  const rows = Array.from({ length: SIZE }, (_, i) => {
    const header = make('th', '', String(i + 1));
    header.setAttribute('scope', 'row');
    return make('tr', '', header, ...Array.from({ length: 4 }, () => make('td', '')));
  });
  table.tBodies[0]!.replaceChildren(...rows);
  const cellsOf = (row: Element) => [...row.querySelectorAll('td')];
  return { values: rows.map(cellsOf), means: cellsOf(table.tFoot!.rows[0]!) };
}
