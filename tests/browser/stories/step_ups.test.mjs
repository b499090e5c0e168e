// What WorkOS may ask for after a code by mail, each step carried through on our own page: an address to confirm, an
// authenticator to set up and to use, an organization to choose, single sign-on; with what WorkOS holds afterwards
// and what the application was told.

import { strict as assert } from 'node:assert';
import { createHmac } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';

import { ourCookies, requestSeen, seen } from '../support/browser.mjs';
import { Lens } from '../support/lens.mjs';
import { OwnPage, answered, enter, other, parts } from '../support/own_page.mjs';
import { assertTold } from '../support/sound.mjs';
import { words } from '../support/words.mjs';

const ENTERING = '/user_management/authenticate';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

let own;
let demo;
let lens;
before(async () => {
  own = await OwnPage.open('methods = ["authkit", "magic_auth"]\n');
  demo = own.demo;
  lens = await Lens.grind(own.browser);
});
after(() => own?.close());
afterEach(() => own.leave());

/** Has a code sent to somebody of whom a sign-in asks this, and gives the code. */
async function begin(page, email, policy = {}, organizations = []) {
  await own.askForCode(page, email);
  await demo.tell('POST', `users/${email}/sign_in`, policy);
  for (const organization of organizations) await demo.tell('POST', `users/${email}/memberships`, { organization });
  return demo.mailed(email);
}

/** The application greets them, on the page that they wanted. */
async function assertIn(page, email) {
  await page.getByRole('heading', { name: `Hello, ${email}` }).waitFor();
  assert.equal(await requestSeen(page), 'GET /reports?year=2026');
  const names = [...(await ourCookies(page.context())).keys()];
  assert.ok(names.includes('vestibule') && !names.some((name) => /pending/.test(name)), `${names}`);
  assert.equal((await seen(page)).get('x-forwarded-email'), email);
}

async function user(email) {
  const { users } = await demo.tell('GET', 'state');
  return users.find((one) => one.email === email);
}

/** What an authenticator with this key shows (RFC 6238), by the clock that WorkOS has. */
async function shown(key) {
  const { now_ms: now } = await demo.tell('GET', 'clock');
  const bits = [...key].map((one) => BASE32.indexOf(one).toString(2).padStart(5, '0')).join('');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((eight) => parseInt(eight, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const mac = createHmac('sha1', bytes).update(counter).digest();
  const four = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(four % 1_000_000).padStart(6, '0');
}

/** The key of an authenticator, as the page spells it out for those who cannot scan. */
const spelt = async (page) => (await parts.key(page).textContent()).replaceAll(' ', '');

test('an address is confirmed with the code of a second mail', async () => {
  const page = await own.page();
  const email = 'confirm@example.com';
  await enter(page, await begin(page, email, { email_verification_required: true }));
  await page.getByRole('heading', { name: words('en').step.verify_title }).waitFor();
  assert.equal((await user(email)).email_verified, false);
  const code = await demo.mailed(email, 'email_verification');
  await enter(page, other(code));
  assert.match(await assertTold(page, parts.code(page)), /not right/);
  assert.equal((await user(email)).email_verified, false);
  await enter(page, code);
  await assertIn(page, email);
  assert.equal((await user(email)).email_verified, true);
});

test('the code that confirms an address is sent again as often as any, and the newest one counts', async () => {
  const page = await own.page();
  const email = 'anew-confirmed@example.com';
  const proofs = () => demo.mails(email, 'email_verification');
  await enter(page, await begin(page, email, { email_verification_required: true }));
  assert.equal((await proofs()).length, 1);
  const sent = await answered(page, () => parts.sendAgain(page).click());
  assert.equal(sent.status(), 200);
  await page.getByRole('heading', { name: words('en').step.verify_title }).waitFor();
  assert.equal(await parts.alert(page).count(), 0);
  await answered(page, () => parts.sendAgain(page).click());
  const [first, second, third] = (await proofs()).map(({ code }) => code);
  for (const older of [first, second].filter((code) => code !== third)) {
    await enter(page, older);
    assert.match(await assertTold(page, parts.code(page)), /not right/);
    assert.equal((await user(email)).email_verified, false);
  }
  // With the one of the sign-in these were three.
  const refused = await answered(page, () => parts.sendAgain(page).click());
  assert.equal(refused.status(), 429);
  assert.match(await assertTold(page), /too often/);
  assert.equal((await proofs()).length, 3);
  assert.deepEqual(await demo.workosSessionsOf(email), []);
  await enter(page, third);
  await assertIn(page, email);
  assert.equal((await user(email)).email_verified, true);
  assert.equal((await demo.workosSessionsOf(email)).length, 1);
});

test('an authenticator is set up from the picture, in every look of it, and serves from then on', async () => {
  const page = await own.page();
  const email = 'mfa@example.com';
  await enter(page, await begin(page, email, { mfa_required: true }));
  await parts.picture(page).waitFor();
  assert.equal(await parts.picture(page).getAttribute('aria-label'), words('en').step.enrol_picture);
  const scanned = [];
  for (const media of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { colorScheme: null, forcedColors: 'active' }]) {
    await page.emulateMedia(media);
    scanned.push(await lens.read(parts.picture(page)));
  }
  await page.emulateMedia({ colorScheme: null, forcedColors: null });
  const [first] = scanned;
  assert.deepEqual(scanned, [first, first, first]);
  const address = new URL(first);
  const key = address.searchParams.get('secret');
  assert.match(first, /^otpauth:\/\/totp\//);
  assert.match(decodeURIComponent(address.pathname), /localhost.*mfa@example\.com$/);
  assert.equal(await spelt(page), key);
  assert.equal(await page.locator('a[href^="otpauth:"]').getAttribute('href'), first);

  await enter(page, other(await shown(key)));
  assert.match(await assertTold(page, parts.code(page)), /not right/);
  assert.equal(await lens.read(parts.picture(page)), first, 'the picture is still there, and still the same');
  await enter(page, await shown(key));
  await assertIn(page, email);

  const later = await own.page();
  await own.comeIn(later, email);
  await later.getByRole('heading', { name: words('en').step.totp_title }).waitFor();
  assert.equal(await parts.picture(later).count(), 0, 'the key is not shown again');
  assert.ok(!(await later.content()).includes(key));
  await enter(later, other(await shown(key)));
  assert.match(await assertTold(later, parts.code(later)), /not right/);
  assert.equal((await ourCookies(later.context())).has('vestibule'), false);
  await enter(later, await shown(key));
  await assertIn(later, email);
});

test('one of several organizations is chosen, and the application is told which', async () => {
  const page = await own.page();
  const email = 'many@example.com';
  await enter(page, await begin(page, email, {}, ['Acme', 'Globex']));
  await page.getByRole('heading', { name: words('en').step.organization_title }).waitFor();
  assert.equal(await page.locator('button[name=organization_id]').count(), 2);
  await answered(page, () => parts.organization(page, 'Globex').click());
  await assertIn(page, email);
  assert.equal((await seen(page)).get('x-workos-organization-id'), 'org_01DEMOGLOBEX00000000000000');
  const [session] = await demo.workosSessionsOf(email);
  assert.equal(session.organization_id, 'org_01DEMOGLOBEX00000000000000');
});

test('an organization that was not offered is not to be had', async () => {
  const page = await own.page();
  const email = 'bold@example.com';
  await enter(page, await begin(page, email, {}, ['Acme', 'Globex']));
  const press = async (id) => {
    const button = page.locator('button[name=organization_id]').first();
    await button.evaluate((one, value) => (one.value = value), id);
    return answered(page, () => button.click());
  };
  assert.equal((await press('')).status(), 422);
  assert.equal(await assertTold(page), words('en').hitch.no_choice);
  // One that there is not: WorkOS asks once more, on its own page.
  await press('org_01DEMONOBODYS0000000000000');
  assert.ok(page.url().startsWith(demo.emulator), page.url());
  assert.equal((await ourCookies(page.context())).has('vestibule'), false);
  assert.deepEqual(await demo.workosSessionsOf(email), []);
});

test('whoever must use single sign-on goes on to that connection and comes back signed in', async () => {
  await demo.tell('POST', 'organizations/Acme/sign_in', { sso_required: true });
  try {
    const page = await own.page();
    await own.comeIn(page, 'ada@example.com');
    await assertIn(page, 'ada@example.com');
    const { requests } = await demo.tell('GET', 'requests?path=/user_management/authorize');
    const { query } = requests.at(-1);
    assert.equal(query.connection_id, 'conn_01DEMOACME0000000000000000');
    assert.equal(query.login_hint, 'ada@example.com', 'nobody types an address twice');
    const headers = await seen(page);
    assert.equal(headers.get('x-workos-auth-method'), 'SSO');
    assert.equal(headers.get('x-workos-organization-id'), 'org_01DEMOACME0000000000000000');
    const sessions = await demo.workosSessionsOf('ada@example.com');
    assert.deepEqual(sessions.map((one) => one.authentication_method), ['SSO'], 'the code alone opened none');
  } finally {
    await demo.tell('POST', 'organizations/Acme/sign_in', { sso_required: false });
  }
});

test('one step after the other: the address, the authenticator, the organization', async () => {
  const page = await own.page();
  const email = 'all@example.com';
  const policy = { email_verification_required: true, mfa_required: true };
  await enter(page, await begin(page, email, policy, ['Acme', 'Globex']));
  await enter(page, await demo.mailed(email, 'email_verification'));
  await parts.picture(page).waitFor();
  await enter(page, await shown(await spelt(page)));
  await answered(page, () => parts.organization(page, 'Acme').click());
  await assertIn(page, email);
  assert.equal((await seen(page)).get('x-workos-organization-id'), 'org_01DEMOACME0000000000000000');
  assert.equal((await demo.workosSessionsOf(email)).length, 1);
});

test('a WorkOS that is away in the midst of a step takes nothing away', async () => {
  const page = await own.page();
  const email = 'midst@example.com';
  await enter(page, await begin(page, email, { mfa_required: true }));
  const key = await spelt(page);
  await demo.hurt(ENTERING, { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' });
  await enter(page, await shown(key));
  assert.match(await assertTold(page), /cannot be reached/);
  assert.equal(await spelt(page), key, 'the same authenticator');
  await demo.heal();
  await enter(page, await shown(key));
  await assertIn(page, email);
});

test('a step that took too long begins anew, with the address known and on the way to the same page', async () => {
  const page = await own.page();
  const email = 'slow@example.com';
  await enter(page, await begin(page, email, {}, ['Acme', 'Globex']));
  await demo.advance({ minutes: 11 });
  await answered(page, () => parts.organization(page, 'Acme').click());
  assert.match(await assertTold(page), /start again/i);
  assert.equal(await parts.address(page).inputValue(), email);
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await demo.mailed(email));
  await answered(page, () => parts.organization(page, 'Acme').click());
  await assertIn(page, email);
});

test('from every step there is a way to begin anew', async () => {
  const page = await own.page();
  const email = 'anew@example.com';
  await enter(page, await begin(page, email, { email_verification_required: true }));
  await parts.startOver(page).click();
  await parts.address(page).waitFor();
  assert.equal(new URL(page.url()).search, '?return_to=%2Freports%3Fyear%3D2026');
  await demo.tell('POST', `users/${email}/sign_in`, { email_verification_required: false });
  await parts.address(page).fill(email);
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await demo.mailed(email));
  await assertIn(page, email);
});

/** Makes the form of a page that of another step. */
async function claimStep(page, step) {
  const field = page.locator('form:has(input[name=code]) input[name=step]');
  await field.evaluate((one, word) => (one.value = word), step);
}

test('the page before cannot be used to skip a step', async () => {
  const page = await own.page();
  const email = 'skip@example.com';
  const code = await begin(page, email, { mfa_required: true });
  const pending = async () => (await ourCookies(page.context())).get('vestibule-pending');
  const assertOut = async (what) => {
    assert.equal((await ourCookies(page.context())).has('vestibule'), false, what);
    assert.deepEqual(await demo.workosSessionsOf(email), [], what);
  };
  const [earlier, calls] = [await pending(), await demo.calls(ENTERING)];
  await enter(page, code);
  await parts.picture(page).waitFor();
  const key = await spelt(page);
  const due = await pending();
  assert.equal(await demo.calls(ENTERING), calls + 1);

  // What the page before would send, in the midst of this step: this step is shown, and nothing is tried.
  await claimStep(page, 'code');
  await enter(page, code);
  assert.equal(await parts.alert(page).count(), 0);
  assert.equal(await spelt(page), key, 'the same step');
  await assertOut('gone back');

  // As it was before the step: the cookie, then the cookie with its page, and the code again.
  await page.context().addCookies([earlier]);
  await enter(page, code);
  await page.getByRole('heading', { name: words('en').step.code_title }).waitFor();
  await assertOut('the cookie of the step before');
  await enter(page, code);
  assert.match(await assertTold(page), /used already/);
  assert.equal(await parts.picture(page).count(), 0);
  await assertOut('the step before, once more');
  assert.equal(await demo.calls(ENTERING), calls + 1, 'WorkOS was asked once');

  // A page that claims to be of this step does not make the code of the one before its answer.
  await page.context().addCookies([due]);
  await claimStep(page, 'enrolment');
  await enter(page, code);
  await assertOut('the code of the step before');
  assert.equal(await spelt(page), key);

  // Whoever takes the step is in, once.
  await enter(page, await shown(key));
  await assertIn(page, email);
  assert.equal((await demo.workosSessionsOf(email)).length, 1);
});
