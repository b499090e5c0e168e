// A real Chromium, and what people do with it in these stories.

import { strict as assert } from 'node:assert';

import { chromium } from 'playwright-core';

/** Chromium's own traffic is off: these tests talk to this machine only. */
const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // The tests may run as root, where the sandbox does not start; every page they open is ours.
  '--no-sandbox',
];

const OPTIONS = { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS, headless: true };

/** No page here needs longer, on a busy machine either. */
const PATIENCE_MS = 20_000;

/** Launches the browser: one for a file of stories. */
export async function launch() {
  return chromium.launch(OPTIONS);
}

/** Somebody new at the browser, without cookies: one for each story. */
export async function visitor(browser, options = {}) {
  return patient(await browser.newContext(options));
}

/** Launches the browser with a profile from a folder; somebody with that profile. */
export async function visitorWithProfile(folder) {
  return patient(await chromium.launchPersistentContext(folder, OPTIONS));
}

function patient(context) {
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

/** Picks a person on the sign-in page, and an organization if asked for one; ends where the sign-in leads. */
export async function pick(page, person, organization) {
  await onSignInPage(page);
  await page.getByRole('button', { name: `${person}@example.com` }).click();
  if (organization) await page.getByRole('button', { name: organization }).click();
}

/** Opens `url` and signs in on the way. */
export async function signIn(page, url, person = 'ada', organization) {
  await page.goto(url);
  await pick(page, person, organization);
  await greeted(page, person);
}

/** The page is the sign-in page of the emulator. */
export async function onSignInPage(page) {
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
  assert.match(page.url(), /\/user_management\/authkit\?/);
}

/** The page is the sample application's, and it knows who this is. */
export async function greeted(page, person = 'ada') {
  await page.getByRole('heading', { name: `Hello, ${person}@example.com` }).waitFor();
}

/** The request line that the sample application saw for this page, such as `GET /reports?year=2026`. */
export async function requestSeen(page) {
  return page.locator('#request').textContent();
}

/** The headers that the sample application saw for this page: pairs of name and value. */
export async function headersSeen(page) {
  return page.locator('#headers tr').evaluateAll((rows) =>
    rows.map((row) => [row.querySelector('th').textContent, row.querySelector('td').textContent]),
  );
}

/** Vestibule's cookies in this browser, by name. */
export async function ourCookies(context) {
  const cookies = (await context.cookies()).filter(({ name }) => /^(__Host-|__Secure-)?vestibule/.test(name));
  return new Map(cookies.map((cookie) => [cookie.name, cookie]));
}

/** What the sample application saw for this page, by the names of the headers. */
export async function seen(page) {
  return new Map(await headersSeen(page));
}
