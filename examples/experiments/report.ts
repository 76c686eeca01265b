/** The files of an experiment beside its figures: page and numbers. */
import { description } from './chart.js';
import type { Experiment, Report, Table } from './experiment.js';

export function commandOf(name: string, seeds: readonly number[], quick: boolean): string {
  return `npm run experiments -- ${name} --seeds ${seeds.join(',')}${quick ? ' --quick' : ''}`;
}

/** The page of an experiment; its figure is in the same folder. */
export function page({ name, title, claim, method }: Experiment, report: Report, command: string): string {
  return `# ${title}

**The paper.** ${claim}

**Here.** ${method}

![${title}: ${description(report.panels)}](${name}.svg)

\`${command}\`

${statement(report)}

${markdownTable(report.table)}

Medians over the seeds; ranges in brackets, dots in the figure. [Every row and all settings](${name}.json).
`;
}

export function statement({ conclusion: { shows, text } }: Report): string {
  return `**${shows ? 'Shown' : 'Not shown'}.** ${text}`;
}

export function markdownTable([header, ...rows]: Table): string {
  return [header!, header!.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** One row per line, so that a diff shows which rows have changed. */
export function numbers({ settings, rows, conclusion }: Report, command: string): string {
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  return `{
  "command": ${JSON.stringify(command)},
  "settings": ${JSON.stringify(settings)},
  "conclusion": ${JSON.stringify(conclusion)},
  "rows": [\n${lines}\n  ]
}
`;
}
