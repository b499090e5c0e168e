// Our own sign-in page: codes by mail and the steps that may follow, for people with a mouse, a keyboard or a screen
// reader, without script, in their language and their colours.

import { strict as assert } from 'node:assert';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { greeted, launch, onSignInPage, ourCookies, pick, requestSeen, visitor } from '../support/browser.mjs';
import { Demo, configuration } from '../support/demo.mjs';
import { assertSound } from '../support/sound.mjs';

const PICTURES = process.env.SCREENSHOTS;

const MORE = `
[sign_in]
methods = ["authkit", "magic_auth"]
support_url = "mailto:help@example.com"
`;

let browser;
let demo;
before(async () => {
  const config = await configuration({ more: MORE });
  if (PICTURES) await mkdir(PICTURES, { recursive: true });
  [browser, demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen', config })]);
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function control(method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${demo.emulator}/_control/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

/** The code of the newest mail to somebody. */
async function mailed(email, kind = 'magic_auth') {
  const { mails } = await control('GET', `inbox?to=${encodeURIComponent(email)}`);
  return mails.filter((mail) => mail.kind === kind).at(-1).code;
}

/** Types an address and has a code sent. A minute passes first, so that no story is held up by another. */
async function askForCode(page, email, path = '/reports?year=2026') {
  await demo.advance({ minutes: 1 });
  await page.goto(`${demo.url}${path}`);
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'E-mail me a code' }).click();
  await page.getByRole('heading', { name: 'Check your e-mail' }).waitFor();
}

async function enter(page, code) {
  await page.getByRole('textbox', { name: 'Code' }).fill(code);
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** A code that is not this one. */
const other = (code) => (code === '000000' ? '000001' : '000000');

const LOOKS = [
  ['light', { colorScheme: 'light' }, { width: 1000, height: 700 }],
  ['dark', { colorScheme: 'dark' }, { width: 1000, height: 700 }],
  ['forced colours', { forcedColors: 'active' }, { width: 1000, height: 700 }],
  // 200 % of a window of 1280 by 1024, and 400 %.
  ['zoomed', { colorScheme: 'light' }, { width: 640, height: 512 }],
  ['zoomed more', { colorScheme: 'light' }, { width: 320, height: 256 }],
];

async function inEveryLook(page, look) {
  for (const [name, media, viewport] of LOOKS) {
    await page.emulateMedia({ colorScheme: null, forcedColors: null, ...media });
    await page.setViewportSize(viewport);
    await look(name);
  }
  await page.emulateMedia({ colorScheme: null, forcedColors: null });
}

async function soundInEveryLook(page, what) {
  await inEveryLook(page, (look) => assertSound(page, `${what}, ${look}`));
  // Taking a picture changes the page, so that comes last.
  const picture = (look) => page.screenshot({ path: join(PICTURES, `own-page ${what} ${look}.png`), fullPage: true });
  if (PICTURES) await inEveryLook(page, picture);
}

/** Complaints of the browser about the page's own policy. */
function complaints(page) {
  const heard = [];
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) heard.push(message.text());
  });
  return heard;
}

test('a code by mail leads back to the page that was wanted, and the pages on the way are sound', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  const heard = complaints(page);
  await page.goto(`${demo.url}/reports?year=2026`);
  await soundInEveryLook(page, 'the door');
  await askForCode(page, 'ada@example.com');
  await soundInEveryLook(page, 'the code');
  await enter(page, await mailed('ada@example.com'));
  await greeted(page);
  assert.match(await requestSeen(page), /GET \/reports\?year=2026/);
  const session = (await ourCookies(context)).get('vestibule');
  assert.ok(session.expires > 0, 'remembered: the box is ticked at first');
  assert.deepEqual(heard, []);
  await context.close();
});

test('AuthKit is one press away, and whoever is not remembered is forgotten with the browser', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await page.goto(`${demo.url}/reports`);
  await page.getByLabel('Remember me on this device').uncheck();
  await page.getByRole('button', { name: 'Continue with AuthKit' }).click();
  await onSignInPage(page);
  await pick(page, 'ada');
  await greeted(page);
  assert.equal((await ourCookies(context)).get('vestibule').expires, -1);
  await demo.advance({ minutes: 6 });
  await page.reload();
  await greeted(page);
  assert.equal((await ourCookies(context)).get('vestibule').expires, -1, 'after a renewal too');
  await context.close();
});

test('everything goes by keyboard alone and without script', async () => {
  const context = await visitor(browser, { javaScriptEnabled: false });
  const page = await context.newPage();
  await demo.advance({ minutes: 1 });
  await page.goto(`${demo.url}/reports`);
  await page.keyboard.press('Tab');
  await page.keyboard.type('ada@example.com');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  assert.equal(await page.getByLabel('Remember me on this device').isChecked(), false);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Check your e-mail' }).waitFor();
  // The field has the focus already.
  await page.keyboard.type(await mailed('ada@example.com'));
  await page.keyboard.press('Enter');
  await greeted(page);
  await context.close();
});

test('a wrong code, one too old, one that was used and one too many are told apart', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  const alert = page.getByRole('alert');
  await askForCode(page, 'ada@example.com');
  const code = await mailed('ada@example.com');
  await enter(page, 'abcdef');
  await alert.filter({ hasText: 'A code has six digits.' }).waitFor();
  await enter(page, other(code));
  await alert.filter({ hasText: 'This code is not right.' }).waitFor();
  assert.match(await page.title(), /^Error: /);
  await soundInEveryLook(page, 'a wrong code');
  for (const [reason, words] of [
    ['one_time_code_expired', 'This code has expired.'],
    ['one_time_code_previously_used', 'This code was used already.'],
    ['one_time_code_too_many_attempts', 'Too many wrong codes were entered.'],
  ]) {
    // Each spends the code, so the next one is asked for first.
    await askForCode(page, 'ada@example.com');
    await demo.hurt('/user_management/authenticate', { status: 400, body: { code: reason, message: 'x' } });
    await enter(page, '123456');
    await alert.filter({ hasText: words }).waitFor();
    await demo.heal();
  }
  await page.getByRole('button', { name: 'Send another code' }).click();
  await alert.waitFor({ state: 'detached' });
  await enter(page, await mailed('ada@example.com'));
  await greeted(page);
  await context.close();
});

test('an attempt that took too long begins anew and loses nothing', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await askForCode(page, 'ada@example.com');
  const code = await mailed('ada@example.com');
  await demo.advance({ minutes: 11 });
  await enter(page, code);
  await page.getByRole('alert').filter({ hasText: 'Please start again.' }).waitFor();
  await soundInEveryLook(page, 'an attempt that is over');
  await page.getByLabel('E-mail address').fill('ada@example.com');
  await page.getByRole('button', { name: 'E-mail me a code' }).click();
  await enter(page, await mailed('ada@example.com'));
  await greeted(page);
  assert.match(await requestSeen(page), /GET \/reports\?year=2026/);
  await context.close();
});

test('an address that is none stays in its field', async () => {
  const context = await visitor(browser, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${demo.url}/auth/sign-in`);
  // What the browser takes for an address, and no mail server does.
  const email = `${'a'.repeat(65)}@example.com`;
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'E-mail me a code' }).click();
  await page.getByRole('alert').filter({ hasText: 'This is not an e-mail address.' }).waitFor();
  assert.equal(await page.getByLabel('E-mail address').inputValue(), email);
  await page.getByLabel('E-mail address').fill('ada@example.com');
  await context.close();
});

test('too many codes and a WorkOS that is away are told in words', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await askForCode(page, 'ben@example.com');
  for (let time = 2; time <= 3; time += 1) {
    await page.getByRole('button', { name: 'Send another code' }).click();
    await page.waitForLoadState();
  }
  await page.getByRole('button', { name: 'Send another code' }).click();
  await page.getByRole('alert').filter({ hasText: 'too often' }).waitFor();
  await soundInEveryLook(page, 'too often');
  await demo.hurt('/user_management/*', { status: 502, body: '<html>' });
  await enter(page, '123456');
  await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
  await demo.heal();
  await enter(page, await mailed('ben@example.com'));
  await page.getByRole('heading', { name: 'Choose an organization' }).waitFor();
  await context.close();
});

test('somebody chooses one of their organizations', async () => {
  const context = await visitor(browser);
  const page = await context.newPage();
  await askForCode(page, 'ben@example.com');
  await enter(page, await mailed('ben@example.com'));
  await page.getByRole('heading', { name: 'Choose an organization' }).waitFor();
  await soundInEveryLook(page, 'organizations');
  await page.getByRole('button', { name: 'Globex' }).click();
  await greeted(page, 'ben');
  await context.close();
});

test('somebody confirms their address', async () => {
  await control('POST', 'users/dan@example.com/sign_in', { email_verification_required: true });
  const context = await visitor(browser);
  const page = await context.newPage();
  await askForCode(page, 'dan@example.com');
  await enter(page, await mailed('dan@example.com'));
  await page.getByRole('heading', { name: 'Confirm your e-mail address' }).waitFor();
  await soundInEveryLook(page, 'the confirmation');
  await enter(page, await mailed('dan@example.com', 'email_verification'));
  await greeted(page, 'dan');
  await context.close();
});

test('somebody sets up a second step and uses it the next time', async () => {
  await control('POST', 'users/cleo@example.com/sign_in', { mfa_required: true });
  const context = await visitor(browser);
  const page = await context.newPage();
  const heard = complaints(page);
  await askForCode(page, 'cleo@example.com');
  await enter(page, await mailed('cleo@example.com'));
  await page.getByRole('heading', { name: 'Set up a second step' }).waitFor();
  await page.getByRole('img', { name: 'QR code for an authenticator app' }).waitFor();
  await soundInEveryLook(page, 'the set-up');
  const secret = (await page.locator('.key').textContent()).replaceAll(' ', '');
  const shown = async () => (await control('GET', `totp?secret=${secret}`)).code;
  await enter(page, other(await shown()));
  await page.getByRole('alert').filter({ hasText: 'This code is not right.' }).waitFor();
  await enter(page, await shown());
  await greeted(page, 'cleo');
  assert.deepEqual(heard, []);

  await context.clearCookies();
  await askForCode(page, 'cleo@example.com');
  await enter(page, await mailed('cleo@example.com'));
  await page.getByRole('heading', { name: 'Enter your second step' }).waitFor();
  await soundInEveryLook(page, 'the second step');
  await enter(page, await shown());
  await greeted(page, 'cleo');
  await context.close();
});

test('the pages speak German to those who read it', async () => {
  const context = await visitor(browser, { locale: 'de-AT' });
  const page = await context.newPage();
  await demo.advance({ minutes: 1 });
  await page.goto(`${demo.url}/reports`);
  await page.getByRole('heading', { name: 'Anmelden' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'de');
  await soundInEveryLook(page, 'die Tür');
  await page.getByLabel('E-Mail-Adresse').fill('ada@example.com');
  await page.getByRole('button', { name: 'Code per E-Mail senden' }).click();
  await page.getByRole('heading', { name: 'Sehen Sie in Ihre E-Mails' }).waitFor();
  await soundInEveryLook(page, 'der Code');
  await page.getByRole('textbox', { name: 'Code' }).fill(await mailed('ada@example.com'));
  await page.getByRole('button', { name: 'Weiter' }).click();
  await greeted(page);
  await context.close();
});
