// What people see when something behind us is away: WorkOS, or the application.

import { strict as assert } from 'node:assert';
import { after, before, beforeEach, test } from 'node:test';

import { Apart } from '../support/apart.mjs';
import { greeted, launch, onSignInPage, pick, signIn, visitor } from '../support/browser.mjs';
import { Demo } from '../support/demo.mjs';

let browser;
let demo;
before(async () => {
  [browser, demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen' })]);
});
beforeEach(() => demo.heal());
after(async () => {
  await browser?.close();
  await demo?.stop();
});

const AWAY = { status: 503, body: { message: 'down for maintenance' } };

test('while WorkOS is away people stay signed in, wait when they must, and go on by themselves', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  await demo.hurt('/user_management/*', AWAY);
  await demo.advance({ minutes: 4, seconds: 40 });
  await page.reload();
  await greeted(page);
  await demo.advance({ minutes: 2 });
  const answer = await page.reload();
  assert.equal(answer.status(), 503);
  assert.ok(Number(answer.headers()['retry-after']) > 0);
  await page.getByRole('heading', { name: 'Not possible just now' }).waitFor();
  await demo.heal();
  await demo.advance({ seconds: 30 });
  await page.reload();
  await greeted(page);
});

test('who comes back from the sign-in while WorkOS is away can try again', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(`${demo.url}/reports?of=2026`);
  await onSignInPage(page);
  await demo.hurt('/user_management/authenticate', AWAY);
  await pick(page, 'ada');
  await page.getByRole('heading', { name: 'Signing in is not possible just now' }).waitFor();
  await demo.heal();
  await page.locator('main a').first().click();
  await greeted(page);
  assert.equal(page.url(), `${demo.url}/reports?of=2026`);
});

test('a public page does not mind', async () => {
  const page = await (await visitor(browser)).newPage();
  await demo.hurt('/*', AWAY);
  await page.goto(`${demo.url}/public/`);
  await page.getByRole('heading', { name: 'Hello, whoever you are' }).waitFor();
});

test('an application that is away is named as such, and nobody is signed out', async () => {
  const apart = await Apart.start();
  const page = await (await visitor(browser)).newPage();
  try {
    await signIn(page, apart.url);
    await apart.loseApplication();
    const answer = await page.reload();
    assert.equal(answer.status(), 502);
    await page.getByRole('heading', { name: 'The application did not answer' }).waitFor();
    await page.goto(`${apart.url}/auth/me`);
    await page.getByRole('heading', { name: 'Your session' }).waitFor();
  } finally {
    await apart.stop();
  }
});
