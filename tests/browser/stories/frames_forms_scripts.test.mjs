// What cannot simply be sent to a sign-in page: a frame, a form that was filled in, and a script's request.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, pick, requestSeen, signIn, visitor } from '../support/browser.mjs';
import { Demo } from '../support/demo.mjs';

let browser;
let demo;
before(async () => {
  [browser, demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen' })]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** The session ends for this browser, as if its cookies had been lost. */
async function forget(context) {
  await context.clearCookies();
}

test('a frame shows that a sign-in is needed, and a link that opens it in a new tab', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await page.goto(`${demo.url}/public/`);
  await page.evaluate(() => {
    document.body.innerHTML = '<iframe src="/reports" width="600" height="500"></iframe>';
  });
  const frame = page.frameLocator('iframe');
  await frame.getByRole('heading', { name: 'Please sign in' }).waitFor();
  const [tab] = await Promise.all([
    context.waitForEvent('page'),
    frame.getByRole('link', { name: 'Sign in in a new tab' }).click(),
  ]);
  await pick(tab, 'ada');
  await greeted(tab);
  await page.evaluate(() => document.querySelector('iframe').contentWindow.location.reload());
  await frame.getByRole('heading', { name: 'Hello, ada@example.com' }).waitFor();
});

test('a form that was sent after the session ended arrives when it is sent again', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await page.getByLabel('A note').fill('a long text that nobody wants to type twice');
  await forget(context);
  const [answer] = await Promise.all([
    page.waitForResponse(`${demo.url}/notes`),
    page.getByRole('button', { name: 'Send' }).click(),
  ]);
  assert.equal(answer.status(), 401);
  await page.getByRole('heading', { name: 'Please sign in' }).waitFor();
  const [tab] = await Promise.all([
    context.waitForEvent('page'),
    page.getByRole('link', { name: 'Sign in in a new tab' }).click(),
  ]);
  await pick(tab, 'ada');
  await greeted(tab);
  await page.reload();
  await greeted(page);
  assert.equal(await requestSeen(page), 'POST /notes');
  assert.match(await page.locator('#sent').textContent(), /note=a\+long\+text\+that\+nobody/);
});

test('a script is told with 401 and a document, not sent to another site', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await forget(context);
  const answer = await page.evaluate(async () => {
    const response = await fetch('/api/items.json', { headers: { accept: 'application/json' } });
    const { status, redirected, headers } = response;
    const kind = headers.get('content-type');
    return { status, redirected, kind, challenge: headers.get('www-authenticate'), body: await response.json() };
  });
  assert.deepEqual([answer.status, answer.redirected], [401, false]);
  assert.match(answer.kind, /^application\/problem\+json/);
  assert.match(answer.challenge, /^Bearer /);
  assert.equal(answer.body.type, 'urn:vestibule:sign_in_required');
  assert.equal(answer.body.sign_in_url, `${demo.url}/auth/sign-in`);
});

test('an XMLHttpRequest that accepts anything is told the same', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(`${demo.url}/public/`);
  const status = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const request = new XMLHttpRequest();
        request.open('GET', '/reports');
        request.onloadend = () => resolve(request.status);
        request.send();
      }),
  );
  assert.equal(status, 401);
});

test('a script of somebody who is signed in gets the application, as that person', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  const seen = await page.evaluate(async () => (await fetch('/api/items.json?a=1')).json());
  assert.equal(seen.target, '/api/items.json?a=1');
  assert.equal(new Map(seen.headers).get('x-forwarded-email'), 'ada@example.com');
});

test('identity headers that a script makes up do not arrive', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url, 'ben', 'Acme');
  const forged = {
    'X-Forwarded-Email': 'ada@example.com',
    'X-Forwarded-User': 'user_01DEMOADA00000000000000000',
    'X-Forwarded-Groups': 'admin',
    X_Forwarded_Groups: 'admin',
    'X-Workos-Role': 'admin',
    'X-Workos-Permissions': 'everything',
    'X-Auth-Request-Email': 'ada@example.com',
    'X-Vestibule-Assertion': 'eyJhbGciOiJub25lIn0.e30.',
  };
  const ask = async (headers) => (await fetch('/who.json', { headers })).json();
  const [plain, lied] = [await page.evaluate(ask, {}), await page.evaluate(ask, forged)];
  const names = ({ headers }) => headers.map(([name]) => name).sort();
  assert.deepEqual(names(lied), names(plain), 'not one header more');
  assert.equal(new Map(lied.headers).get('x-forwarded-email'), 'ben@example.com');
  assert.equal(new Map(lied.headers).get('x-workos-role'), 'member');
});

test('the session of this browser can be read by its pages, without a single secret', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  const session = await page.evaluate(async () => (await fetch('/auth/session')).json());
  assert.equal(session.user.email, 'ada@example.com');
  assert.equal(session.role, 'admin');
  assert.doesNotMatch(JSON.stringify(session), /token|eyJ/);
  assert.equal(await page.evaluate(() => document.cookie), '', 'scripts see no cookie of ours');
});

test('our own pages refuse to be framed', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  await page.evaluate(() => {
    document.body.innerHTML = '<iframe src="/auth/me"></iframe>';
  });
  await page.waitForFunction(() => window.frames.length === 1);
  await page.waitForLoadState('networkidle');
  const [, frame] = page.frames();
  assert.doesNotMatch(await frame.content(), /Your session/);
});
