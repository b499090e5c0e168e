// Signing in: by picking a person, to a deep link, in many tabs at once, and what a person sees who may not.

import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
  visitorWithProfile,
} from '../support/browser.mjs';
import { Demo } from '../support/demo.mjs';

let browser;
let demo;
before(async () => {
  [browser, demo] = await Promise.all([launch(), Demo.start()]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

test('a stranger picks a person and sees the application', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(demo.url);
  await pick(page, 'ada');
  await greeted(page);
  assert.equal(page.url(), `${demo.url}/`);
  const seen = new Map(await headersSeen(page));
  assert.equal(seen.get('x-forwarded-email'), 'ada@example.com');
  assert.equal(seen.get('x-workos-role'), 'admin');
  assert.ok(!/vestibule/.test(seen.get('cookie') ?? ''), 'the application never sees our cookies');
});

test('somebody in two organizations chooses one', async () => {
  const page = await (await visitor(browser)).newPage();
  await signIn(page, demo.url, 'ben', 'Globex');
  const seen = new Map(await headersSeen(page));
  assert.equal(seen.get('x-workos-organization-id'), 'org_01DEMOGLOBEX00000000000000');
});

test('a deep link keeps its query, whatever is in it', async () => {
  const page = await (await visitor(browser)).newPage();
  const target = '/reports/2026?q=a%26b+c&next=https%3A%2F%2Fevil.example%2F&empty=&%C3%A4=%E2%9C%93';
  await signIn(page, demo.url + target);
  assert.equal(page.url(), demo.url + target);
  assert.equal(await requestSeen(page), `GET ${target}`);
});

test('ten tabs opened at once all arrive where they wanted', async () => {
  const context = await visitor(browser);
  const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
  await Promise.all(tabs.map((tab, number) => tab.goto(`${demo.url}/tab/${number}?of=ten`)));
  await Promise.all(tabs.map(onSignInPage));
  for (const [number, tab] of tabs.entries()) {
    await pick(tab, 'ada');
    await greeted(tab);
    assert.equal(await requestSeen(tab), `GET /tab/${number}?of=ten`);
  }
  assert.deepEqual(await attempts(context), [], 'no attempt is left behind');
});

test('ten tabs restored at once by somebody whom AuthKit still knows pass without a question', async () => {
  const context = await visitor(browser);
  await signIn(await context.newPage(), demo.url);
  await context.clearCookies({ name: /vestibule/ });
  const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
  await Promise.all(tabs.map((tab, number) => tab.goto(`${demo.url}/tab/${number}`)));
  for (const [number, tab] of tabs.entries()) {
    await greeted(tab);
    assert.equal(await requestSeen(tab), `GET /tab/${number}`);
  }
  assert.deepEqual(await attempts(context), [], 'no attempt is left behind');
});

test('a second browser tab needs no second sign-in', async () => {
  const context = await visitor(browser);
  await signIn(await context.newPage(), demo.url);
  const second = await context.newPage();
  await second.goto(`${demo.url}/elsewhere`);
  await greeted(second);
});

test('somebody who may not is told so in plain words, with a code for support', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(`${demo.url}/admin/`);
  await pick(page, 'ben', 'Acme');
  await page.getByRole('heading', { name: 'You may not see this' }).waitFor();
  const text = await page.locator('main').innerText();
  assert.match(text, /Decision\s+\S{8,}/);
  assert.match(text, /Request\s+\S{8,}/);
  const again = await page.reload();
  assert.equal(again.status(), 403);
  assert.match(again.headers()['cache-control'], /no-store/);
});

test('somebody who may not can come back as somebody who may', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(`${demo.url}/admin/`);
  await pick(page, 'ben', 'Acme');
  await page.getByRole('link', { name: 'Sign in as somebody else' }).click();
  await pick(page, 'ada');
  await greeted(page);
  await page.goto(`${demo.url}/admin/`);
  await greeted(page);
});

test('who cancels at the sign-in page is told what to do', async () => {
  const page = await (await visitor(browser)).newPage();
  await page.goto(demo.url);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('main a').first().waitFor();
  assert.ok(page.url().startsWith(`${demo.url}/auth/callback`));
  assert.match(await page.locator('main').innerText(), /access_denied/);
});

test('a public page asks nobody and tells the application nothing', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await page.goto(`${demo.url}/public/about`);
  await page.getByRole('heading', { name: 'Hello, whoever you are' }).waitFor();
  assert.deepEqual([...(await ourCookies(context)).keys()], []);
  await signIn(page, demo.url);
  await page.goto(`${demo.url}/public/about`);
  await page.getByRole('heading', { name: 'Hello, whoever you are' }).waitFor();
});

test('a browser that takes no cookies is told so instead of going round in circles', async () => {
  const profile = await mkdtemp(join(tmpdir(), 'vestibule-browser-'));
  await mkdir(join(profile, 'Default'));
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  const context = await visitorWithProfile(profile);
  try {
    const page = await context.newPage();
    await page.goto(demo.url);
    for (let round = 1; round <= 3; round += 1) await pick(page, 'ada');
    await page.getByRole('heading', { name: 'The sign-in goes round in circles' }).waitFor();
    assert.match(await page.locator('main').innerText(), /does not accept cookies/);
  } finally {
    await context.close();
    await rm(profile, { recursive: true });
  }
});

/** The names of the cookies that attempts to sign in have left. */
async function attempts(context) {
  return [...(await ourCookies(context)).keys()].filter((name) => name.includes('-signin-'));
}
