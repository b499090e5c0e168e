// Signing in with a link by mail: programs that look into mails first, the person afterwards, other browsers.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, ourCookies, visitor } from '../support/browser.mjs';
import { configuration, Demo } from '../support/demo.mjs';
import { Mailbox } from '../support/mailbox.mjs';

let browser;
let demo;
let mailbox;
before(async () => {
  mailbox = await Mailbox.start();
  const more = `
[sign_in]
methods = ["authkit", "magic_auth", "magic_link"]

[sign_in.mail]
smtp_url = "smtp://127.0.0.1:${mailbox.port}"
from = "Example <sign-in@example.com>"
`;
  [browser, demo] = await Promise.all([
    launch(),
    configuration({ more }).then((config) => Demo.start({ config, clock: 'frozen' })),
  ]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
  await mailbox?.stop();
});

// Our own page, on the way to the one that is wanted.
async function askForLink(page, email, target) {
  await page.goto(`${demo.url}/auth/sign-in?return_to=${encodeURIComponent(target)}`);
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'E-mail me a link' }).click();
  await page.getByRole('heading', { name: 'Look into your mail' }).waitFor();
  return mailbox.linkTo(email);
}

const press = (page) => page.getByRole('button', { name: 'Sign in' }).click();

test('a link that a mail scanner has opened and pressed still signs in the person who asked', async () => {
  const person = await visitor(browser);
  const page = await person.newPage();
  const link = await askForLink(page, 'first@example.com', '/reports?x=1');

  const scanner = await (await visitor(browser)).newPage();
  await fetch(link, { method: 'HEAD' });
  await fetch(link);
  await scanner.goto(link);
  await scanner.getByRole('heading', { name: 'This link belongs to another browser' }).waitFor();
  // What it found in a page of its own it sends, as scripted scanners do.
  await scanner.evaluate((sealed) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = '/auth/magic-link/open';
    form.innerHTML = '<input name="link">';
    form.firstChild.value = sealed;
    document.body.append(form);
    form.submit();
  }, new URL(link).searchParams.get('link'));
  await scanner.waitForURL('**/auth/magic-link/open');
  await scanner.getByRole('heading', { name: 'This link belongs to another browser' }).waitFor();

  await page.goto(link);
  assert.equal(await page.evaluate(() => document.referrer), '');
  await page.reload();
  await press(page);
  await greeted(page, 'first');
  assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/reports?x=1');
});

test('in another browser a page says where the link works, and starts afresh', async () => {
  const page = await (await visitor(browser)).newPage();
  const link = await askForLink(page, 'second@example.com', '/reports');
  const elsewhere = await visitor(browser);
  const other = await elsewhere.newPage();
  await other.goto(link);
  await other.getByRole('link', { name: 'Start again' }).click();
  await other.getByRole('button', { name: 'E-mail me a link' }).waitFor();
  assert.equal(new URL(other.url()).search, '?return_to=%2Freports');
  assert.equal((await ourCookies(elsewhere)).has('vestibule'), false);
});

test('a used link, and one that is too old, say so', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  const link = await askForLink(page, 'third@example.com', '/reports');
  await page.goto(link);
  await press(page);
  await greeted(page, 'third');
  await page.goto(link);
  await page.getByRole('heading', { name: 'This link has been used' }).waitFor();
  await page.getByRole('link', { name: 'Go to the page you wanted' }).click();
  await greeted(page, 'third');

  const late = await askForLink(page, 'third@example.com', '/reports');
  await demo.advance({ minutes: 16 });
  await page.goto(late);
  await page.getByRole('heading', { name: 'This link has expired' }).waitFor();
});

test('it works without script, with the keyboard alone', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  const link = await askForLink(page, 'fourth@example.com', '/reports');
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState() });
  const quiet = await plain.newPage();
  await quiet.goto(link);
  await quiet.keyboard.press('Tab');
  await quiet.keyboard.press('Enter');
  await greeted(quiet, 'fourth');
  await quiet.goto(`${demo.url}/auth/me`);
  await quiet.getByText('MagicLink').waitFor();
  await quiet.getByRole('button', { name: 'Sign out' }).click();
  await quiet.waitForLoadState();
  assert.equal((await ourCookies(plain)).has('vestibule'), false);
});
