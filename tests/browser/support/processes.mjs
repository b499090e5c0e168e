// Starts programs, waits for the line that says that they are up, and ends them by their own process id.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** How long a program may take to say that it is up. */
const PATIENCE_MS = 20_000;

/** A program that runs; everything it wrote to standard error so far is in `log`. */
export class Program {
  #child;
  #log = '';
  #lines;

  constructor(command, args, options = {}) {
    this.name = command.split('/').pop();
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.ended = once(this.#child, 'exit');
    // A test that failed half-way must leave nothing behind.
    this.reaper = () => this.#child.kill('SIGKILL');
    process.once('exit', this.reaper);
  }

  get log() {
    return this.#log;
  }

  /** The next line of standard output. */
  async line() {
    const ended = this.ended.then(([code]) => {
      throw new Error(`${this.name} ended with ${code} before it was up:\n${this.#log}`);
    });
    ended.catch(() => {});
    const tooLate = late(() => `${this.name} is not up:\n${this.#log}`);
    const { value, done } = await Promise.race([this.#lines.next(), ended, tooLate]);
    if (done) await ended;
    return value;
  }

  /** The first match of `pattern` in standard error. */
  async says(pattern) {
    return until(() => this.#log.match(pattern), () => `${this.name} never said ${pattern}:\n${this.#log}`);
  }

  /** Ends it and waits for its end; gives the exit code, `null` when the signal itself ended it. */
  async stop(signal = 'SIGTERM') {
    process.off('exit', this.reaper);
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    const [code] = await this.ended;
    return code;
  }
}

/** Asks again and again until there is an answer; for what another process does in its own time. */
export async function until(ask, complaint) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(complaint());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function late(complaint) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(complaint())), PATIENCE_MS).unref();
  });
}
