// AuthKit's pages are on a domain of their own, which no address of Vestibule's configuration names.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, pick, signIn, visitor } from '../support/browser.mjs';
import { Apart } from '../support/apart.mjs';

let browser;
let apart;
before(async () => {
  [browser, apart] = await Promise.all([launch(), Apart.start()]);
});
after(async () => {
  await browser?.close();
  await apart?.stop();
});

test('the way through another domain and back keeps the address', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(`${apart.url}/deep/link?a=1`);
  await page.waitForURL(`${apart.hosted}/**`);
  await pick(page, 'ada');
  await greeted(page);
  assert.equal(page.url(), `${apart.url}/deep/link?a=1`);
});

test('the button that signs out leads to the sign-in page on that domain', async () => {
  const page = await (await visitor(browser)).newPage();
  const complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  await signIn(page, apart.url);
  for (const way of ['/auth/sign-out', '/auth/me']) {
    await page.goto(apart.url + way);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${apart.hosted}/**`);
    assert.deepEqual(complaints, []);
    await pick(page, 'ada');
    await greeted(page);
  }
});
