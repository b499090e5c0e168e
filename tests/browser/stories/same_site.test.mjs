// `same_site = "strict"`: browsers keep the cookie back on the way from other sites, which a sign-in comes from.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, ourCookies, pick, requestSeen, signIn, visitor } from '../support/browser.mjs';
import { Demo, configuration } from '../support/demo.mjs';

let browser;
let demo;
before(async () => {
  const config = await configuration({ session: 'same_site = "strict"' });
  [browser, demo] = await Promise.all([launch(), Demo.start({ config, clock: 'frozen' })]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

test('a sign-in arrives on the page that was wanted', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  const answers = [];
  page.on('response', (answer) => answers.push([new URL(answer.url()).pathname, answer.status()]));
  await signIn(page, `${demo.url}/reports?of=2026`);
  assert.equal(await requestSeen(page), 'GET /reports?of=2026');
  const callback = answers.find(([path]) => path === '/auth/callback');
  assert.deepEqual(callback, ['/auth/callback', 200], 'a page of our own leads on, so that the cookie is sent');
  assert.equal((await ourCookies(context)).get('vestibule').sameSite, 'Strict');
});

test('a link on another site leads to the page all the same', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.emulator}/user_management/authkit`);
  await page.evaluate((address) => {
    document.body.innerHTML = `<a href="${address}">Have a look</a>`;
  }, `${demo.url}/linked?from=elsewhere`);
  await page.getByRole('link').click();
  await greeted(page);
  assert.equal(await requestSeen(page), 'GET /linked?from=elsewhere');
});

test('signing out works', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/auth/sign-out`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await pick(page, 'ben', 'Acme');
  await greeted(page, 'ben');
});

test('ten tabs restored at once pass', async () => {
  const context = await visitor(browser);
  await signIn(await context.newPage(), demo.url);
  await context.clearCookies({ name: /vestibule/ });
  const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
  await Promise.all(tabs.map((tab, number) => tab.goto(`${demo.url}/tab/${number}`)));
  for (const tab of tabs) await greeted(tab);
});
