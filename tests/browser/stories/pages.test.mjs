// Every page of our own: usable with a screen reader and a keyboard, in light and dark, on a telephone. With
// SCREENSHOTS=folder each is also kept as a picture, for somebody to look at.

import { strict as assert } from 'node:assert';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch, onSignInPage, pick, signIn, visitor } from '../support/browser.mjs';
import { Demo } from '../support/demo.mjs';
import { assertSound } from '../support/sound.mjs';

let browser;
let demo;
before(async () => {
  [browser, demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen' })]);
  if (process.env.SCREENSHOTS) await mkdir(process.env.SCREENSHOTS, { recursive: true });
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** How each page comes about; every one ends with the page on the screen. */
const PAGES = {
  'sign-out': async (page) => {
    await signIn(page, demo.url);
    await page.goto(`${demo.url}/auth/sign-out`);
  },
  'sign-out-of-nobody': async (page) => {
    await page.goto(`${demo.url}/auth/sign-out`);
  },
  'signed-out': async (page) => {
    await page.goto(`${demo.url}/auth/signed-out`);
  },
  me: async (page) => {
    await signIn(page, demo.url);
    await page.goto(`${demo.url}/auth/me`);
  },
  'me-of-many': async (page) => {
    for (let time = 1; time <= 2; time += 1) {
      await page.context().clearCookies();
      await signIn(page, demo.url, 'ben', 'Acme');
    }
    await page.goto(`${demo.url}/auth/me`);
    await page.getByRole('button', { name: 'Switch to Globex' }).waitFor();
  },
  'session-refused': async (page) => {
    await signIn(page, demo.url);
    await page.goto(`${demo.url}/auth/me`);
    // As a page from before a change would still send it.
    await page.locator('form[action="/auth/session/refresh"]').evaluate((form) => {
      form.setAttribute('action', '/auth/session/organization');
    });
    await page.getByRole('button', { name: 'Renew now' }).click();
    await page.getByRole('heading', { name: 'The organization is not named' }).waitFor();
  },
  forbidden: async (page) => {
    await page.goto(`${demo.url}/admin/`);
    await pick(page, 'ben', 'Acme');
    await page.getByRole('heading', { name: 'You may not see this' }).waitFor();
  },
  'form-after-the-end': async (page) => {
    await signIn(page, demo.url);
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('heading', { name: 'Please sign in' }).waitFor();
  },
  cancelled: async (page) => {
    await page.goto(demo.url);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.waitForURL(`${demo.url}/**`);
  },
  circle: async (page) => {
    // Somebody else's way in, over and over: callbacks that nobody here had asked for.
    for (let round = 1; round <= 3; round += 1) await page.goto(`${demo.url}/auth/callback?code=unasked`);
    await page.getByRole('heading', { name: 'goes round in circles' }).waitFor();
  },
  'workos-away': async (page) => {
    await page.goto(demo.url);
    await onSignInPage(page);
    await demo.hurt('/user_management/authenticate', { status: 503 });
    await pick(page, 'ada');
    await page.getByRole('heading', { name: 'not possible just now' }).waitFor();
    await demo.heal();
  },
  'unknown-endpoint': async (page) => {
    await page.goto(`${demo.url}/auth/nothing`);
  },
  'bad-address': async (page) => {
    await page.goto(`${demo.url}/a%2Fb`);
  },
};

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1000, height: 700 } },
  dark: { colorScheme: 'dark', viewport: { width: 1000, height: 700 } },
  telephone: { colorScheme: 'light', viewport: { width: 320, height: 640 } },
};

for (const [name, reach] of Object.entries(PAGES)) {
  test(`the page "${name}" is sound`, async () => {
    const context = await visitor(browser);
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => complaints.push(message.text()));
    await reach(page);
    for (const [look, { colorScheme, viewport }] of Object.entries(LOOKS)) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await assertSound(page, `${name}, ${look}`);
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}-${look}.png`), fullPage: true });
      }
    }
    const blocked = complaints.filter((text) => /Content Security Policy/.test(text));
    assert.deepEqual(blocked, [], 'the page breaks its own policy');
    await context.close();
  });
}
