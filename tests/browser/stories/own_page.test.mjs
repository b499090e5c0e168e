// Our own sign-in page as its operator and its visitors want it: their title and logo, the ways that they name, the
// language of whoever reads it; for people with a keyboard alone, without script, remembered or not.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { greeted, onSignInPage, ourCookies, pick, requestSeen, visitorWithProfile } from '../support/browser.mjs';
import { OwnPage, answered, enter, other, parts } from '../support/own_page.mjs';
import { assertTold } from '../support/sound.mjs';
import { assertGerman, words } from '../support/words.mjs';

const LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><rect width="120" height="40" fill="#246"/></svg>';

let own;
let demo;
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vestibule-logo-'));
  const logo = join(folder, 'logo.svg');
  await writeFile(logo, LOGO);
  own = await OwnPage.open(`
methods = ["authkit", "magic_auth"]
title = "Acme & Söhne <Portal>"
logo_file = "${logo}"
support_url = "mailto:help@example.com"
`);
  demo = own.demo;
});
after(async () => {
  await own?.close();
  if (folder) await rm(folder, { recursive: true });
});
afterEach(() => own.leave());

const policyOf = (email, policy) => demo.tell('POST', `users/${email}/sign_in`, policy);
const belongsTo = (email, organization) => demo.tell('POST', `users/${email}/memberships`, { organization });

async function assertIn(page, email, path = '/reports?year=2026') {
  await page.getByRole('heading', { name: `Hello, ${email}` }).waitFor();
  assert.equal(await requestSeen(page), `GET ${path}`);
}

/** This part of the page has the focus, and shows it. */
async function assertFocus(part) {
  const focus = await part.evaluate((one) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    return { here: one === document.activeElement, shows: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
  });
  assert.deepEqual(focus, { here: true, shows: true }, `${part}`);
}

test('the page carries the title, the logo and the help of its operator, and loads nothing from elsewhere', async () => {
  const page = await own.page();
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await own.askForCode(page, 'looks@example.com');
  await page.goBack();
  for (const title of ['Acme & Söhne <Portal>', words('en').step.code_title]) {
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    assert.ok(await page.locator('img.logo').evaluate((logo) => logo.complete && logo.naturalWidth === 120));
    const help = page.getByRole('link', { name: words('en').sign_in.help });
    assert.equal(await help.getAttribute('href'), 'mailto:help@example.com');
    await parts.address(page).or(parts.code(page)).fill('looks@example.com');
    if (await parts.askForCode(page).isVisible()) await answered(page, () => parts.askForCode(page).click());
  }
  assert.deepEqual([...new Set(asked)], [demo.url]);
});

test('password managers and one-time codes find their fields', async () => {
  const page = await own.page();
  await own.arrive(page);
  const address = page.getByLabel(words('en').sign_in.email);
  assert.equal(await address.getAttribute('autocomplete'), 'email');
  assert.equal(await address.getAttribute('type'), 'email');
  assert.equal(await address.getAttribute('autocapitalize'), 'none');
  await address.fill('tokens@example.com');
  await answered(page, () => parts.askForCode(page).click());
  const code = page.getByLabel(words('en').step.code, { exact: true });
  assert.equal(await code.getAttribute('autocomplete'), 'one-time-code');
  assert.equal(await code.getAttribute('inputmode'), 'numeric');
  assert.equal(await code.getAttribute('type'), 'text');
  assert.ok(await code.evaluate((one) => one === document.activeElement && one.maxLength > 6));
});

test('AuthKit is one press away, on the way to the same page', async () => {
  const page = await own.page();
  await own.arrive(page);
  // No address is needed for it.
  await parts.authKit(page).click();
  await onSignInPage(page);
  await pick(page, 'ada');
  await greeted(page);
  assert.equal(await requestSeen(page), 'GET /reports?year=2026');
});

test('what comes with the address of the page is shown as it is, and is no markup', async () => {
  const page = await own.page();
  const script = '"><script>document.title="seized"</script><img src=x onerror=alert(1)>';
  for (const name of ['login_hint', 'return_to', 'domain_hint', 'organization_id', 'prompt', 'invitation_token', 'screen_hint']) {
    await page.goto(`${demo.url}/auth/sign-in?return_to=%2Freports&${name}=${encodeURIComponent(script)}`);
    assert.equal(await page.locator('script, main img:not(.logo)').count(), 0, name);
    assert.notEqual(await page.title(), 'seized', name);
  }
  await page.goto(`${demo.url}/auth/sign-in?login_hint=${encodeURIComponent('ada@example.com')}`);
  assert.equal(await parts.address(page).inputValue(), 'ada@example.com');
  // A place elsewhere is none to go to.
  await page.goto(`${demo.url}/auth/sign-in?return_to=${encodeURIComponent('https://evil.example/')}`);
  assert.equal(await page.locator('input[name=return_to]').getAttribute('value'), '/');
});

test('whoever is not remembered is forgotten when the browser ends, and whoever is, is not', async () => {
  for (const [remembered, email] of [[true, 'stays@example.com'], [false, 'goes@example.com']]) {
    const profile = await mkdtemp(join(tmpdir(), 'vestibule-profile-'));
    try {
      const first = await visitorWithProfile(profile);
      const page = await first.newPage();
      await own.arrive(page);
      assert.ok(await parts.rememberMe(page).isChecked(), 'ticked at first');
      await parts.rememberMe(page).setChecked(remembered);
      await parts.address(page).fill(email);
      await answered(page, () => parts.askForCode(page).click());
      await enter(page, await demo.mailed(email));
      await assertIn(page, email);
      // A renewal does not change it.
      await demo.advance({ minutes: 6 });
      await page.reload();
      await assertIn(page, email);
      await first.close();
      const second = await visitorWithProfile(profile);
      const later = await second.newPage();
      await later.goto(`${demo.url}/reports?year=2026`);
      if (remembered) await assertIn(later, email);
      else await parts.address(later).waitFor();
      await second.close();
    } finally {
      await rm(profile, { recursive: true });
    }
  }
});

test('by way of AuthKit, too, whoever is not remembered is forgotten with the browser', async () => {
  const page = await own.page();
  await own.arrive(page);
  await parts.rememberMe(page).uncheck();
  await parts.authKit(page).click();
  await pick(page, 'ada');
  await greeted(page);
  assert.equal((await ourCookies(page.context())).get('vestibule').expires, -1);
});

test('where nobody is asked there is no box, and where there is no AuthKit no way to it', async () => {
  const alone = await OwnPage.open('methods = ["magic_auth"]\nremember_me = false\n');
  try {
    const page = await alone.page();
    await alone.arrive(page);
    assert.equal(await parts.rememberMe(page).count(), 0);
    assert.equal(await parts.authKit(page).count(), 0);
    await parts.address(page).fill('always@example.com');
    await answered(page, () => parts.askForCode(page).click());
    await enter(page, await alone.demo.mailed('always@example.com'));
    await assertIn(page, 'always@example.com');
    assert.ok((await ourCookies(page.context())).get('vestibule').expires > 0);
    await alone.leave();
  } finally {
    await alone.close();
  }
});

test('from the first key to the application, every step by keyboard alone', async () => {
  const page = await own.page();
  const email = 'keys@example.com';
  const press = (key) => page.keyboard.press(key);
  await own.arrive(page);
  await press('Tab');
  await assertFocus(parts.address(page));
  await page.keyboard.type(email);
  await press('Tab');
  await assertFocus(parts.rememberMe(page));
  await press('Space');
  assert.equal(await parts.rememberMe(page).isChecked(), false);
  await press('Tab');
  await assertFocus(parts.askForCode(page));
  await answered(page, () => press('Enter'));
  await policyOf(email, { email_verification_required: true, mfa_required: true });
  for (const organization of ['Acme', 'Globex']) await belongsTo(email, organization);

  const code = await demo.mailed(email);
  // The field has the focus already, after a mistake as well.
  await assertFocus(parts.code(page));
  await page.keyboard.type(other(code));
  await answered(page, () => press('Enter'));
  await assertTold(page, parts.code(page));
  await page.keyboard.type(code);
  await answered(page, () => press('Enter'));
  await page.getByRole('heading', { name: words('en').step.verify_title }).waitFor();
  await page.keyboard.type(await demo.mailed(email, 'email_verification'));
  await answered(page, () => press('Enter'));
  const secret = (await parts.key(page).textContent()).replaceAll(' ', '');
  await page.keyboard.type((await demo.tell('GET', `totp?secret=${secret}`)).code);
  await answered(page, () => press('Enter'));
  await press('Tab');
  await press('Tab');
  await assertFocus(page.locator('button[name=organization_id]').nth(1));
  await answered(page, () => press('Enter'));
  await assertIn(page, email);
});

test('every step goes without script', async () => {
  const page = await own.page({ javaScriptEnabled: false });
  const email = 'quiet@example.com';
  await own.askForCode(page, email);
  await policyOf(email, { email_verification_required: true, mfa_required: true });
  for (const organization of ['Acme', 'Globex']) await belongsTo(email, organization);
  await answered(page, () => parts.sendAgain(page).click());
  await enter(page, other(await demo.mailed(email)));
  await assertTold(page);
  await enter(page, await demo.mailed(email));
  await enter(page, await demo.mailed(email, 'email_verification'));
  await parts.picture(page).waitFor();
  const secret = (await parts.key(page).textContent()).replaceAll(' ', '');
  await enter(page, (await demo.tell('GET', `totp?secret=${secret}`)).code);
  await answered(page, () => parts.organization(page, 'Acme').click());
  await assertIn(page, email);

  const second = await own.page({ javaScriptEnabled: false });
  await own.arrive(second);
  await parts.authKit(second).click();
  await pick(second, 'ada');
  await greeted(second);
});

test('the whole way is German for those who read it', async () => {
  const page = await own.page({ locale: 'de-AT' });
  const said = words('de');
  const email = 'deutsch@example.com';
  await own.arrive(page);
  await assertGerman(page);
  assert.equal(await parts.askForCode(page).textContent(), said.sign_in.email_me_a_code);
  await parts.address(page).fill(`${'a'.repeat(65)}@example.com`);
  await answered(page, () => parts.askForCode(page).click());
  assert.equal(await assertTold(page, parts.address(page)), said.hitch.bad_email);
  await assertGerman(page);
  await parts.address(page).fill(email);
  await answered(page, () => parts.askForCode(page).click());
  await page.getByRole('heading', { name: said.step.code_title }).waitFor();
  await assertGerman(page);
  await policyOf(email, { email_verification_required: true, mfa_required: true });
  for (const organization of ['Acme', 'Globex']) await belongsTo(email, organization);
  await enter(page, 'abcdef');
  assert.equal(await assertTold(page, parts.code(page)), said.hitch.bad_code);
  await enter(page, other(await demo.mailed(email)));
  assert.equal(await assertTold(page, parts.code(page)), said.hitch.wrong_code);
  await enter(page, await demo.mailed(email));
  await page.getByRole('heading', { name: said.step.verify_title }).waitFor();
  await assertGerman(page);
  await enter(page, await demo.mailed(email, 'email_verification'));
  await page.getByRole('heading', { name: said.step.enrol_title }).waitFor();
  assert.equal(await parts.picture(page).getAttribute('aria-label'), said.step.enrol_picture);
  await assertGerman(page);
  const secret = (await parts.key(page).textContent()).replaceAll(' ', '');
  await enter(page, (await demo.tell('GET', `totp?secret=${secret}`)).code);
  await page.getByRole('heading', { name: said.step.organization_title }).waitFor();
  await assertGerman(page);
  await answered(page, () => parts.organization(page, 'Acme').click());
  await assertIn(page, email);
  // The next time the authenticator is asked for.
  await page.context().clearCookies();
  await own.comeIn(page, email);
  await page.getByRole('heading', { name: said.step.totp_title }).waitFor();
  await assertGerman(page);
});

test('the language is the one that is wanted most, and English for who wants none of ours', async () => {
  for (const [wanted, language] of [
    ['de;q=0.5, en;q=0.9', 'en'],
    ['fr, de;q=0.8, en;q=0.7', 'de'],
    ['fr-FR, es;q=0.5', 'en'],
    ['en;q=0, de;q=0.1', 'de'],
  ]) {
    const page = await own.page({ extraHTTPHeaders: { 'accept-language': wanted } });
    await own.arrive(page);
    assert.equal(await page.locator('html').getAttribute('lang'), language, wanted);
    assert.equal(await parts.askForCode(page).textContent(), words(language).sign_in.email_me_a_code);
  }
});
