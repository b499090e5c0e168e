// Our own mail for links, handed to a real SMTP server: in the clear on this machine, under STARTTLS, under TLS from the
// first byte, with a login; and relays that refuse. Nobody learns by it which addresses there are.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { selfSigned } from '../support/certificate.mjs';
import { Demo, configuration } from '../support/demo.mjs';
import { Mailbox } from '../support/mailbox.mjs';

const LOGIN = { user: 'sender@example.com', password: 'p@ss word/1' };
const ADA = 'ada@example.com';

let folder;
let certificate;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-mail-'));
  certificate = await selfSigned(folder);
});
after(() => rm(folder, { recursive: true }));

/** A relay of this kind and a demo that mails by it, while `story` lasts. */
async function mailing(kind, { scheme = 'smtp', login, more = '' }, story) {
  const mailbox = await Mailbox.start(kind);
  const credentials = login ? `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@` : '';
  const host = kind.certificate ? 'localhost' : '127.0.0.1';
  const mail = `
[sign_in]
methods = ["magic_link"]
[sign_in.mail]
smtp_url = "${scheme}://${credentials}${host}:${mailbox.port}${more}"
from = "Zoë at Example <sign-in@example.com>"
${kind.certificate ? `ca_file = "${kind.certificate.certificate}"` : ''}`;
  const demo = await Demo.start({ clock: 'frozen', config: await configuration({ more: mail }) });
  try {
    await story(demo, mailbox);
  } finally {
    await demo.stop();
    await mailbox.stop();
  }
}

const ask = (demo, email, headers = {}) =>
  fetch(`${demo.url}/auth/magic-link`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ email, return_to: '/reports' }),
  });

async function told(answer) {
  const { status } = answer;
  const body = await answer.json();
  return [status, status === 200 ? body : body.type];
}

const GOOD = [200, { success: true }];
const AWAY = [503, 'urn:vestibule:unavailable'];

test('a relay on this machine gets a letter that a mail program reads', async () => {
  await mailing({}, {}, async (demo, mailbox) => {
    assert.deepEqual(await told(await ask(demo, ADA)), GOOD);
    const letter = await mailbox.letterTo(ADA);
    assert.equal(letter.sender, 'sign-in@example.com');
    assert.deepEqual(letter.from, { address: 'sign-in@example.com', name: 'Zoë at Example' });
    assert.equal(letter.subject, `Sign in to ${demo.url}`);
    assert.match(letter.text, /\/auth\/magic-link\/open\?link=\S{40,}/);
    assert.equal(letter.header('auto-submitted'), 'auto-generated');
    assert.equal(letter.header('content-language'), 'en');
  });
});

test('somebody who reads German gets a letter in German', async () => {
  await mailing({}, {}, async (demo, mailbox) => {
    const page = await fetch(`${demo.url}/auth/magic-link`, {
      method: 'POST',
      headers: { 'accept-language': 'de-CH, en;q=0.5', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'same-origin' },
      body: new URLSearchParams({ email: ADA }),
    });
    assert.equal(page.status, 200);
    const letter = await mailbox.letterTo(ADA);
    assert.equal(letter.header('content-language'), 'de');
    assert.match(letter.subject, /^Anmelden bei /);
    assert.match(letter.text, /Öffnen Sie ihn/, 'umlauts arrive whole');
  });
});

for (const [name, wrapped, scheme] of [
  ['STARTTLS', false, 'smtp'],
  ['TLS from the first byte', true, 'smtps'],
]) {
  test(`under ${name} and with a login the letter leaves, and without them it does not`, async () => {
    const kind = { certificate, wrapped, login: LOGIN };
    const way = { scheme, login: LOGIN, more: wrapped ? '' : '?tls=required' };
    await mailing(kind, way, async (demo, mailbox) => {
      assert.deepEqual(await told(await ask(demo, ADA)), GOOD);
      const { secure, user } = await mailbox.letterTo(ADA);
      assert.deepEqual({ secure, user }, { secure: true, user: LOGIN.user });
    });
    await mailing(kind, { ...way, login: { ...LOGIN, password: 'another' } }, async (demo, mailbox) => {
      for (const address of [ADA, 'nobody@example.org']) assert.deepEqual(await told(await ask(demo, address)), AWAY);
      assert.equal(mailbox.waiting, 0);
      assert.doesNotMatch(demo.program.log, /another|p@ss/);
    });
  });
}

test('a relay whose certificate nobody vouches for gets nothing', async () => {
  const another = await mkdtemp(join(tmpdir(), 'vestibule-mail-'));
  const unknown = await selfSigned(another);
  try {
    const mailbox = await Mailbox.start({ certificate: unknown, wrapped: true });
    const mail = `
[sign_in]
methods = ["magic_link"]
[sign_in.mail]
smtp_url = "smtps://localhost:${mailbox.port}"
from = "sign-in@example.com"
ca_file = "${certificate.certificate}"`;
    const demo = await Demo.start({ clock: 'frozen', config: await configuration({ more: mail }) });
    assert.deepEqual(await told(await ask(demo, ADA)), AWAY);
    assert.equal(mailbox.waiting, 0);
    await demo.stop();
    await mailbox.stop();
  } finally {
    await rm(another, { recursive: true });
  }
});

test('an address that the relay does not know is answered like every other', async () => {
  const stranger = 'eve@example.net';
  await mailing({ strangers: [stranger] }, {}, async (demo, mailbox) => {
    const answers = [];
    for (const address of [ADA, stranger]) {
      const answer = await ask(demo, address);
      const names = answer.headers.getSetCookie().map((cookie) => cookie.split('=')[0]);
      answers.push([...(await told(answer)), names.map((name) => name.replace(/-[0-9a-f]{8}$/, ''))]);
    }
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual(answers[0].slice(0, 2), GOOD);
    assert.equal((await mailbox.letterTo(ADA)).to, ADA);
    assert.equal(mailbox.waiting, 0);
    assert.doesNotMatch(demo.program.log, new RegExp(stranger));
  });
});
