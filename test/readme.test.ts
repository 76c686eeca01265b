import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('..', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');
const blocks = [...readme.matchAll(/^```js\n([\s\S]*?)^```/gm)].map((match) => match[1]!);

it('the README has examples', () => {
  expect(blocks.length).toBeGreaterThan(0);
});

it.each(blocks.map((code) => [code.split('\n')[0]!, code]))('the README example «%s» runs as it stands and prints what it says', (_, code) => {
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });
  const promised = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)].map((match) => match[1]!);
  expect(printed.trim().split('\n').filter(Boolean)).toEqual(promised);
});

it('the set-up commands of the README are scripts of the package', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { scripts: Record<string, string> };
  const commands = [...readme.matchAll(/npm (?:run )?(start|test|bench|check|demo)\b/g)].map((match) => match[1]!);
  expect(commands).toContain('start');
  expect(commands).toContain('test');
  for (const command of commands) expect(scripts).toHaveProperty(command);
});
