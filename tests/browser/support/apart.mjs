// Vestibule, the emulator and an application as three programs, for what the demo cannot show: an emulator whose
// hosted pages are on a domain of their own, as AuthKit's are.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { binary, freePort } from './demo.mjs';
import { Program, until } from './processes.mjs';

/** The client that the emulator knows when nobody tells it others. */
const CLIENT_ID = 'client_01DEMO00000000000000000000';
const API_KEY = 'sk_test_demo';

/** The three, running. */
export class Apart {
  static async start() {
    const apart = new Apart();
    apart.folder = await mkdtemp(join(tmpdir(), 'vestibule-browser-'));
    apart.application = createServer((request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(`<!doctype html><title>App</title><h1>Hello, ${request.headers['x-forwarded-email']}</h1>`);
    }).listen(0, '127.0.0.1');
    await once(apart.application, 'listening');

    const port = await freePort();
    // The API is at one address, the pages that people see at another, on another site.
    apart.hosted = `http://authkit.localhost:${port}`;
    const emulator = ['--listen', `127.0.0.1:${port}`, '--public-url', apart.hosted];
    apart.emulator = new Program(binary('workos-emulator'), emulator);
    await apart.emulator.line();

    const listen = `127.0.0.1:${await freePort()}`;
    apart.url = `http://${listen}`;
    const file = join(apart.folder, 'vestibule.toml');
    const key = (await promisify(execFile)(binary('vestibule'), ['keys', 'new'])).stdout.trim();
    await writeFile(
      file,
      `
[server]
listen = "${listen}"
public_url = "${apart.url}"
[admin]
listen = "127.0.0.1:0"
[workos]
client_id = "${CLIENT_ID}"
api_key = "${API_KEY}"
api_url = "http://127.0.0.1:${port}"
issuers = ["${apart.hosted}/user_management/${CLIENT_ID}", "${apart.hosted}"]
[session]
keys = ["${key}"]
[upstreams.app]
url = "http://127.0.0.1:${apart.application.address().port}"
`,
      { mode: 0o600 },
    );
    apart.vestibule = new Program(binary('vestibule'), ['serve', '--config', file]);
    await apart.vestibule.says(/"listening"/);
    await until(
      async () => (await fetch(`${apart.url}/auth/signed-out`).catch(() => ({ ok: false }))).ok,
      () => `nobody listens:\n${apart.vestibule.log}`,
    );
    return apart;
  }

  /** The application goes away. */
  async loseApplication() {
    this.application.closeAllConnections();
    this.application.close();
  }

  async stop() {
    await this.vestibule?.stop('SIGINT');
    await this.emulator?.stop();
    this.application.close();
    await rm(this.folder, { recursive: true });
  }
}
