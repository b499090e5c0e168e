// Signing out: the session ends here and at WorkOS, in every tab, and the next sign-in asks again.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, onSignInPage, ourCookies, pick, signIn, visitor } from '../support/browser.mjs';
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

async function signOut(page) {
  await page.goto(`${demo.url}/auth/sign-out`);
  await page.getByRole('button', { name: 'Sign out' }).click();
}

test('signing out ends the session here and at WorkOS, and the next sign-in asks who it is', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await signOut(page);
  await onSignInPage(page);
  assert.deepEqual([...(await ourCookies(context)).keys()].filter((name) => !name.includes('-signin-')), []);
  const [newest] = (await demo.workosSessions()).slice(-1);
  assert.equal(newest.status, 'revoked', 'WorkOS knows that it is over');
  await pick(page, 'ben', 'Acme');
  await greeted(page, 'ben');
});

test('who stays is still signed in', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/sign-out`);
  await page.getByRole('link', { name: 'Stay' }).click();
  await greeted(page);
});

test('opening the sign-out page ends nothing by itself', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/sign-out`);
  await page.goto(demo.url);
  await greeted(page);
});

test('a form of the application may say where a sign-out ends', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  await page.evaluate(() => {
    document.body.innerHTML = `<form method="post" action="/auth/sign-out">
      <input name="return_to" value="/public/bye?why=done"><button>Leave</button></form>`;
  });
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.getByRole('heading', { name: 'Hello, whoever you are' }).waitFor();
  assert.equal(page.url(), `${demo.url}/public/bye?why=done`);
});

test('the other tab of somebody who signed out has to sign in again', async () => {
  const context = await visitor(browser);
  const [one, other] = [await context.newPage(), await context.newPage()];
  await signIn(one, demo.url);
  await other.goto(`${demo.url}/auth/me`);
  await signOut(one);
  await onSignInPage(one);
  await other.goto(`${demo.url}/elsewhere`);
  await onSignInPage(other);
});

test('both tabs can press the button, one after the other', async () => {
  const context = await visitor(browser);
  const [one, other] = [await context.newPage(), await context.newPage()];
  await signIn(one, demo.url);
  await one.goto(`${demo.url}/auth/sign-out`);
  await other.goto(`${demo.url}/auth/sign-out`);
  await one.getByRole('button', { name: 'Sign out' }).click();
  await onSignInPage(one);
  await other.getByRole('button', { name: 'Sign out' }).click();
  await onSignInPage(other);
});

test('a page of another site cannot sign anybody out', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  const stranger = await context.newPage();
  // The emulator's origin is another site: 127.0.0.1 and localhost share nothing.
  await stranger.goto(`${demo.emulator}/user_management/authkit`);
  await stranger.evaluate((address) => {
    document.body.innerHTML = `<form method="post" action="${address}"><button>Win a prize</button></form>`;
  }, `${demo.url}/auth/sign-out`);
  await stranger.getByRole('button').click();
  await stranger.getByRole('heading', { name: 'The request came from another site' }).waitFor();
  await page.reload();
  await greeted(page);
});

test('a script signs out and sends its person through WorkOS', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url);
  const answer = await page.evaluate(async () => {
    const response = await fetch('/auth/sign-out', { method: 'POST' });
    return { status: response.status, ...(await response.json()) };
  });
  assert.equal(answer.status, 200);
  assert.ok(answer.logout_url.startsWith(`${demo.emulator}/user_management/sessions/logout?session_id=`));
  await page.goto(answer.logout_url);
  await onSignInPage(page);
});
