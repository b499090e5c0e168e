// Behind a proxy that ends TLS: the cookie with the strictest name, the addresses that the browser sees, and what
// a browser says about itself that must not be believed.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import {
  greeted,
  headersSeen,
  launch,
  onSignInPage,
  ourCookies,
  pick,
  requestSeen,
  signIn,
  visitor,
} from '../support/browser.mjs';
import { Demo, configuration, freePort } from '../support/demo.mjs';
import { Nginx } from '../support/nginx.mjs';

let browser;
let nginx;
let demo;
let plain;
before(async () => {
  const [tlsPort, plainPort, port] = [await freePort(), await freePort(), await freePort()];
  const publicUrl = `https://localhost:${tlsPort}`;
  const config = await configuration({ server: 'trusted_proxies = ["127.0.0.1/32"]' });
  browser = await launch();
  demo = await Demo.start({ config, port, publicUrl });
  nginx = await Nginx.start({ tlsPort, plainPort, upstream: `http://127.0.0.1:${port}` });
  plain = `http://localhost:${plainPort}`;
});
after(async () => {
  await browser?.close();
  await nginx?.stop();
  await demo?.stop();
});

const newcomer = () => visitor(browser, { ignoreHTTPSErrors: true });

test('over TLS the session cookie has the strictest name that browsers know', async () => {
  const context = await newcomer();
  const page = await context.newPage();
  await signIn(page, `${demo.url}/reports?of=2026`);
  assert.equal(page.url(), `${demo.url}/reports?of=2026`);
  const cookies = await ourCookies(context);
  assert.deepEqual([...cookies.keys()].filter((name) => !name.endsWith('-recent')), ['__Host-vestibule']);
  const { secure, httpOnly, sameSite, path, domain } = cookies.get('__Host-vestibule');
  const strictest = { secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost' };
  assert.deepEqual({ secure, httpOnly, sameSite, path, domain }, strictest);
});

test('the application sees the address that the browser used', async () => {
  const page = await (await newcomer()).newPage();
  await signIn(page, demo.url);
  const seen = new Map(await headersSeen(page));
  assert.equal(seen.get('x-forwarded-proto'), 'https');
  assert.equal(`https://${seen.get('x-forwarded-host')}`, demo.url);
  assert.equal(seen.get('x-forwarded-for'), '127.0.0.1, 127.0.0.1', 'the browser, then nginx');
});

test('what a browser makes up does not arrive behind two proxies either', async () => {
  const page = await (await newcomer()).newPage();
  await signIn(page, demo.url, 'ben', 'Acme');
  const forged = {
    'X-Forwarded-Email': 'ada@example.com',
    'X-Forwarded-Groups': 'admin',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'http',
    'X-Workos-Role': 'admin',
    X_Workos_Role: 'admin',
  };
  const seen = await page.evaluate(async (headers) => (await fetch('/who.json', { headers })).json(), forged);
  const arrived = new Map(seen.headers);
  assert.equal(arrived.get('x-forwarded-email'), 'ben@example.com');
  assert.equal(arrived.get('x-forwarded-groups'), 'member');
  assert.equal(arrived.get('x-workos-role'), 'member');
  assert.equal(`https://${arrived.get('x-forwarded-host')}`, demo.url);
  assert.equal(arrived.get('x-forwarded-proto'), 'https');
  assert.ok(!JSON.stringify(seen.headers).includes('evil.example'));
});

test('who comes over plain HTTP ends on the TLS address, on the page that was asked for', async () => {
  const page = await (await newcomer()).newPage();
  await page.goto(`${plain}/reports?of=2026`);
  await onSignInPage(page);
  await pick(page, 'ada');
  await greeted(page);
  assert.equal(page.url(), `${demo.url}/reports?of=2026`);
  assert.equal(await requestSeen(page), 'GET /reports?of=2026');
});

test('signing out works through the other proxy as well', async () => {
  const context = await newcomer();
  const page = await context.newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/me`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await onSignInPage(page);
  assert.ok(!(await ourCookies(context)).has('__Host-vestibule'));
});

test('a cookie with our name that another site of the domain planted changes nothing', async () => {
  const context = await newcomer();
  const page = await context.newPage();
  await signIn(page, demo.url);
  await context.addCookies([
    { name: 'vestibule', value: 'planted', domain: 'localhost', path: '/' },
    { name: '__Secure-vestibule', value: 'planted', domain: 'localhost', path: '/', secure: true },
  ]);
  await page.reload();
  await greeted(page);
});
