// Starts the emulator behind a recorder, lets both SDKs loose on it, and holds every answer against WorkOS' published
// description. The recorder hands everything on untouched; browsers and SDKs believe it is the emulator.
//
// How to run: `./run` beside this file does everything; it needs `EMULATOR` (the program) and `PYTHON` (with `workos`).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { deviations, isManaged, reasons, unused } from './description.mjs';
import { count, note, undone } from './coverage.mjs';
import { unexplained } from './words.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const found = new Map();
const operations = new Set();
let judged = 0;
let emulator;

const recorder = createServer((asked, reply) => {
  const { method, url, headers } = asked;
  const options = { host: emulator.hostname, port: emulator.port, method, path: url, headers };
  const forwarded = request(options, async (answer) => {
    const chunks = [];
    for await (const chunk of answer) {
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    const { pathname } = new URL(url, emulator);
    judge(method, pathname, answer, body.toString());
    note(method, pathname, headers, Buffer.concat(sent).toString(), answer.statusCode);
    reply.writeHead(answer.statusCode, answer.rawHeaders);
    reply.end(body);
  });
  forwarded.on('error', (error) => reply.destroy(error));
  const sent = [];
  asked.on('data', (chunk) => sent.push(chunk));
  asked.pipe(forwarded);
});

function judge(method, path, answer, body) {
  if (!isManaged(path)) {
    return;
  }
  judged += 1;
  operations.add(`${method} ${path.replace(/\/[a-z_]+_[0-9A-Z]{26}(?=\/|$)/g, '/{id}')}`);
  for (const line of deviations(method, path, answer.statusCode, answer.headers['content-type'] ?? '', body)) {
    found.set(line.split(': ').slice(0, 2).join(': '), line);
  }
}

async function start(program, publicUrl) {
  const child = spawn(program, ['--listen', '127.0.0.1:0', '--virtual-time', '--public-url', publicUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    return { child, address: new URL(line) };
  }
  throw new Error('the emulator did not start');
}

async function run(command, ...args) {
  const env = { ...process.env, EMULATOR_URL: publicUrl };
  const [code] = await once(spawn(command, args, { cwd: here, env, stdio: 'inherit' }), 'exit');
  return code === 0;
}

recorder.listen(0, '127.0.0.1');
await once(recorder, 'listening');
const publicUrl = `http://127.0.0.1:${recorder.address().port}`;
const { child, address } = await start(process.env.EMULATOR, publicUrl);
emulator = address;

const nodeTests = (...files) => run('node', '--test', '--test-reporter=dot', '--test-concurrency=1', ...files);
// First, while the emulator's time is the real one: this client believes no signature from the future.
const python = await run(process.env.PYTHON, '-B', '-m', 'unittest', '--quiet', 'operations', 'sessions');
const node = await nodeTests('run.mjs', 'organizations.mjs', 'webhooks.mjs', 'people.mjs', 'steps.mjs', 'profiles.mjs');
const happened = await nodeTests('happened.mjs');
child.kill();
recorder.close();

console.log(`${judged} answers of ${operations.size} operations held against the published description`);
console.log(`${count} operations of Vestibule's own looked for among what each client did`);
for (const text of reasons()) {
  console.log(`known: ${text}`);
}
for (const line of found.values()) {
  console.log(`DEVIATION ${line}`);
}
for (const line of unused()) {
  console.log(`an excuse that nothing needs: ${line}`);
}
for (const line of undone()) {
  console.log(`NOT DONE by the client for ${line}`);
}
for (const word of unexplained()) {
  console.log(`NOT EXPLAINED by vestibule workos: ${word}`);
}
const complete = [found.size, unused().length, undone().length, unexplained().length].every((left) => left === 0);
process.exitCode = node && python && happened && complete ? 0 : 1;
