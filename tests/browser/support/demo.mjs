// The demo under test: Vestibule between an emulator of WorkOS and the sample application.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Program } from './processes.mjs';

const TARGET = process.env.VESTIBULE_TARGET ?? new URL('../../../target/debug', import.meta.url).pathname;

/** Where a binary of this repository was built. */
export const binary = (name) => join(TARGET, name);

/** A running demo. */
export class Demo {
  /**
   * Starts it on a free port. `config` is text of a configuration file to use instead of the demo's own; with
   * `clock: 'frozen'` time passes only by `advance`; `port` and `publicUrl` are for what stands in front.
   */
  static async start({ config, clock = 'running', port = 0, publicUrl } = {}) {
    const demo = new Demo();
    const args = ['--listen', `127.0.0.1:${port}`];
    if (config) {
      demo.folder = await mkdtemp(join(tmpdir(), 'vestibule-browser-'));
      const file = join(demo.folder, 'vestibule.toml');
      await writeFile(file, config);
      args.push('--config', file);
    }
    if (clock === 'frozen') args.push('--control', '127.0.0.1:0');
    if (publicUrl) args.push('--public-url', publicUrl);
    demo.program = new Program(binary('vestibule-demo'), args);
    demo.url = (await demo.program.line()).replace(/\/$/, '');
    if (clock === 'frozen') {
      const [, control, emulator] = await demo.program.says(/control at (\S+), emulator at (\S+)/);
      demo.control = control;
      demo.emulator = emulator;
    }
    return demo;
  }

  /** Lets time pass for Vestibule and the emulator alike. */
  async advance({ minutes = 0, seconds = 0 }) {
    const millis = (minutes * 60 + seconds) * 1000;
    const answer = await fetch(`${this.control}/advance`, { method: 'POST', body: String(millis) });
    if (answer.status !== 204) throw new Error(`the clocks did not move: ${answer.status}`);
  }

  /** Asks the emulator for something, or tells it something (frozen clocks only, like everything below). */
  async tell(method, path, body) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.emulator}/_control/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
    return answer.json();
  }

  /** The emulator's sessions, as it sees them. */
  async workosSessions() {
    return (await this.tell('GET', 'state')).sessions;
  }

  /** The sessions that somebody has there. */
  async workosSessionsOf(email) {
    const { users, sessions } = await this.tell('GET', 'state');
    const id = users.find((user) => user.email === email)?.id;
    return sessions.filter((session) => session.user_id === id);
  }

  /** What WorkOS has mailed to somebody, the oldest first. */
  async mails(email, kind = 'magic_auth') {
    const { mails } = await this.tell('GET', `inbox?to=${encodeURIComponent(email)}`);
    return mails.filter((mail) => mail.kind === kind);
  }

  /** The code of the newest mail to somebody. */
  async mailed(email, kind = 'magic_auth') {
    return (await this.mails(email, kind)).at(-1).code;
  }

  /** How often this path was called at WorkOS. */
  async calls(path) {
    const { paths } = await this.tell('GET', 'requests');
    return paths[path]?.calls ?? 0;
  }

  /** The answers of the emulator to `path` are replaced by `fault` until `heal`. */
  async hurt(path, fault) {
    await this.tell('POST', 'faults', { path, times: null, fault });
  }

  /** Everything at the emulator works again. */
  async heal() {
    await this.tell('DELETE', 'faults');
  }

  async stop() {
    await this.program.stop('SIGINT');
    if (this.folder) await rm(this.folder, { recursive: true });
  }
}

/** A configuration like the demo's own, with a key that outlives a restart and whatever `more` says. */
export async function configuration({ server = '', session = '', more = '' } = {}) {
  const { stdout } = await promisify(execFile)(binary('vestibule'), ['keys', 'new']);
  return `
[server]
public_url = "http://localhost:8080"
${server}

[workos]
client_id = "client_demo"

[session]
keys = ["${stdout.trim()}"]
${session}

[upstreams.app]
url = "http://127.0.0.1:3000"

[[routes]]
name = "public"
path = "/public/**"
access = "public"

[[routes]]
name = "admin"
path = "/admin/**"
allow = [{ roles = ["admin"] }]
${more}
`;
}

/**
 * A port that nobody listens on, for a program that is to be told one. It lies below those that the system gives to
 * whoever asks for any (Linux: from 32768), or another story's program could have it before this one's.
 */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (free) {
      await new Promise((resolve) => server.close(resolve));
      return port;
    }
  }
}
