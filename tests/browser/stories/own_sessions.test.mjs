// What people do on the page about their session: switch organizations, end a session elsewhere, renew.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, headersSeen, launch, onSignInPage, signIn, visitor } from '../support/browser.mjs';
import { Demo } from '../support/demo.mjs';

const GLOBEX = 'org_01DEMOGLOBEX00000000000000';

let browser;
let demo;
before(async () => {
  [browser, demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen' })]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** The organization that the application was told of on this page. */
async function organizationSeen(page) {
  const headers = new Map((await headersSeen(page)).map(([name, value]) => [name.toLowerCase(), value]));
  return headers.get('x-workos-organization-id');
}

test('somebody switches to another organization, and another tab follows', async () => {
  const context = await visitor(browser);
  const [page, tab] = [await context.newPage(), await context.newPage()];
  await signIn(page, demo.url, 'ben', 'Acme');
  await tab.goto(`${demo.url}/reports`);
  assert.notEqual(await organizationSeen(tab), GLOBEX);
  await page.goto(`${demo.url}/auth/me`);
  await page.getByRole('button', { name: 'Switch to Globex' }).click();
  await page.waitForURL(`${demo.url}/auth/me`);
  await page.getByRole('button', { name: 'Switch to Acme' }).waitFor();
  await tab.reload();
  assert.equal(await organizationSeen(tab), GLOBEX);
  await context.close();
});

test('somebody ends the session that they left open elsewhere', async () => {
  const [here, there] = [await visitor(browser), await visitor(browser)];
  const [page, left] = [await here.newPage(), await there.newPage()];
  await signIn(left, demo.url);
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/me`);
  // Both were begun at the same moment; the button is not there for the own one.
  await page.getByRole('button', { name: /^End the session on Chrome on Linux/ }).click();
  await page.waitForURL(`${demo.url}/auth/me`);
  assert.equal(await page.getByRole('button', { name: /^End the session/ }).count(), 0);
  await left.goto(`${demo.url}/reports`);
  // AuthKit's own session ended with it.
  await Promise.race([onSignInPage(left), greeted(left)]);
  await page.goto(demo.url);
  await greeted(page);
  await Promise.all([here.close(), there.close()]);
});

test('the session is renewed by a press, by keyboard alone', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/me`);
  const tokens = async () => (await demo.workosSessions()).at(-1).refresh_tokens.length;
  const before = await tokens();
  await page.getByRole('button', { name: 'Renew now' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForLoadState();
  await page.getByRole('heading', { name: 'Your session' }).waitFor();
  assert.equal(await tokens(), before + 1);
  await context.close();
});
