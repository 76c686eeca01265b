/** The examples that take seconds, as `npm run example -- NAME` runs them. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const printed = (name: string) => execFileSync(process.execPath, ['scripts/run.mjs', 'example', name], { cwd: root, encoding: 'utf8' });

it('xor learns all four cases', () => {
  const answers = [...printed('xor').matchAll(/^(\d) xor (\d) = ([\d.]+)$/gm)].map(([, a, b, p]) => [Number(a) ^ Number(b), Number(p)]);
  expect(answers).toHaveLength(4);
  for (const [right, p] of answers) expect(Math.abs(p! - right!)).toBeLessThan(0.1);
});

it('digits reads as many test images as its README says, to within the point that other roundings of Math.sin and Math.exp make', () => {
  const [, promised] = /It reads (\d+) %/.exec(readFileSync(`${root}/examples/digits/README.md`, 'utf8'))!;
  const [, reached] = /^epoch 5: ([\d.]+) % of 1000 test images$/m.exec(printed('digits'))!;
  expect(Math.abs(Number(reached) - Number(promised))).toBeLessThan(1);
});

it('port-torch gives the scores of PyTorch to within the roundings of float32, with batch norms and without', () => {
  const text = printed('port-torch'), differences = [...text.matchAll(/: (\d+e-\d+)$/gm)].map((match) => Number(match[1]));
  expect(text).toContain('left: conv1.weight, conv2.weight, fc.bias, fc.weight\nnotes: 0\n');
  expect(differences).toHaveLength(2);
  // Scores below 8, with an ulp of 2^-21 at most; a dozen of them for sums of 36 and 64 terms.
  for (const difference of differences) expect(difference).toBeLessThan(12 * 2 ** -21);
});
