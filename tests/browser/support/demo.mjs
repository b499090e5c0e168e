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

  /** The emulator's sessions, as it sees them (frozen clocks only). */
  async workosSessions() {
    return (await (await fetch(`${this.emulator}/_control/v1/state`)).json()).sessions;
  }

  /** The answers of the emulator to `path` are replaced by `fault` until `heal` (frozen clocks only). */
  async hurt(path, fault) {
    const rule = JSON.stringify({ path, times: null, fault });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.emulator}/_control/v1/faults`, { method: 'POST', headers, body: rule });
    if (!answer.ok) throw new Error(`no fault was queued: ${await answer.text()}`);
  }

  /** Everything at the emulator works again. */
  async heal() {
    await fetch(`${this.emulator}/_control/v1/faults`, { method: 'DELETE' });
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

/** A port that nobody listens on at the moment. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
