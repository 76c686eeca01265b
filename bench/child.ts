import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from './sides.js';

/** Calls that take longer are aborted. */
const PATIENCE_MS = 10_000;

/** Matches the error output of a child whose program or library is missing. */
const NOT_INSTALLED = /ENOENT|ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ModuleNotFoundError/;

/** A side of the benchmark in a process of its own, which answers one line at a time. */
export class Child {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #complaints = '';
  #spawnError: Error | undefined;

  constructor({ command, args, env }: Command) {
    this.#process = spawn(command, args, { stdio: 'pipe', env: { ...process.env, OMP_NUM_THREADS: '1', ...env } });
    this.#process.on('error', (error) => { this.#spawnError = error; });
    // A dead child is detected by its missing answer.
    this.#process.stdin!.on('error', () => {});
    this.#process.stderr!.on('data', (text) => { this.#complaints = (this.#complaints + text).slice(-4000); });
    this.#answers = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** Name and version. @throws if the child does not start; the message says why. */
  async hello(): Promise<{ name: string; version: string }> {
    const [word, name = '', version = ''] = (await this.#answer()).split(' ');
    if (word !== 'hello') throw new Error(`expected hello, got ${word}`);
    return { name, version };
  }

  /** The answer to a line. @throws the error that the child reports, or one that says why the child has ended. */
  async ask(line: string): Promise<string> {
    this.#process.stdin!.write(`${line}\n`);
    const answer = await this.#answer();
    if (answer.startsWith('error ')) throw new Error(answer.slice(6));
    return answer;
  }

  close(): void {
    this.#process.stdin!.end('quit\n');
    // A busy child does not read its input.
    setTimeout(() => { this.#process.kill('SIGKILL'); }, 5000).unref();
  }

  async #answer(): Promise<string> {
    const timer = setTimeout(() => {
      this.#complaints = `gave no answer for ${PATIENCE_MS / 1000} s`;
      this.#process.kill('SIGKILL');
    }, PATIENCE_MS);
    const { value, done } = await this.#answers.next();
    clearTimeout(timer);
    if (done) throw new Error(await this.#epitaph());
    return value;
  }

  /** Why there is no answer. */
  async #epitaph(): Promise<string> {
    // The last output on standard error may arrive after the end of standard output.
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    const words = this.#spawnError?.message ?? this.#complaints;
    if (NOT_INSTALLED.test(words)) return 'not installed (npm run bench -- peers)';
    return words.split('\n').findLast((line) => /error|gave no/i.test(line))?.trim() || `ended (${this.#process.signalCode ?? this.#process.exitCode})`;
  }
}
