// Every page of the ways in, in every look: by day, by night, in forced colours, at 200 % and 400 %, with wider text,
// by keyboard; in English, and once more in German.

import { strict as assert } from 'node:assert';
import { after, afterEach, before, test } from 'node:test';

import { Lens } from '../support/lens.mjs';
import { assertSoundInEveryLook } from '../support/looks.mjs';
import { Mailbox } from '../support/mailbox.mjs';
import { OwnPage, answered, enter, other, parts } from '../support/own_page.mjs';
import { assertBearsSpacing, assertSound, assertTargets } from '../support/sound.mjs';
import { assertGerman } from '../support/words.mjs';

let own;
let lens;
let mailbox;
before(async () => {
  mailbox = await Mailbox.start();
  own = await OwnPage.open(`
methods = ["authkit", "magic_auth", "magic_link"]
support_url = "mailto:help@example.com"
[sign_in.mail]
smtp_url = "smtp://127.0.0.1:${mailbox.port}"
from = "Example <sign-in@example.com>"
`);
  lens = await Lens.grind(own.browser);
});
after(async () => {
  await own?.close();
  await mailbox?.stop();
});
afterEach(() => own.leave());

/** Makes an account for somebody of whom a sign-in asks this. */
async function account(page, email, policy) {
  await own.askForCode(page, email);
  await own.demo.tell('POST', `users/${email}/sign_in`, policy);
  return own.demo.mailed(email);
}

async function askForLink(page, email) {
  await own.arrive(page);
  await parts.address(page).fill(email);
  await parts.askForLink(page).click();
  return mailbox.linkTo(email);
}

/** How each page comes about, with an address that is its own. */
const PAGES = {
  'the door': (page) => own.arrive(page),
  'no address': async (page) => {
    await own.arrive(page);
    await parts.address(page).fill(`${'a'.repeat(65)}@example.com`);
    await answered(page, () => parts.askForCode(page).click());
  },
  'the code': (page, email) => own.askForCode(page, email),
  'a wrong code': async (page, email) => {
    await own.askForCode(page, email);
    await enter(page, other(await own.demo.mailed(email)));
  },
  'too often': async (page, email) => {
    await own.askForCode(page, email);
    for (let time = 2; time <= 4; time += 1) await answered(page, () => parts.sendAgain(page).click());
  },
  away: async (page, email) => {
    await own.askForCode(page, email);
    await own.demo.hurt('/user_management/authenticate', { status: 503 });
    await enter(page, '123456');
    await own.demo.heal();
  },
  'another browser': async (page, email) => {
    await own.askForCode(page, email);
    await page.context().clearCookies();
    await enter(page, '123456');
  },
  'the confirmation': async (page, email) => {
    await enter(page, await account(page, email, { email_verification_required: true }));
  },
  'the set-up': async (page, email) => {
    await enter(page, await account(page, email, { mfa_required: true }));
    await parts.picture(page).waitFor();
  },
  'the second step': async (page, email) => {
    const code = await account(page, email, { mfa_required: true });
    const { users } = await own.demo.tell('GET', 'state');
    const { id } = users.find((user) => user.email === email);
    const headers = { authorization: 'Bearer sk_test_demo', 'content-type': 'application/json' };
    const body = JSON.stringify({ type: 'totp', totp_issuer: 'App', totp_user: email });
    await fetch(`${own.demo.emulator}/user_management/users/${id}/auth_factors`, { method: 'POST', headers, body });
    await enter(page, code);
  },
  organizations: async (page, email) => {
    const code = await account(page, email, {});
    for (const organization of ['Acme', 'Globex']) {
      await own.demo.tell('POST', `users/${email}/memberships`, { organization });
    }
    await enter(page, code);
    await parts.organization(page, 'Globex').waitFor();
  },
  'the link is sent': async (page, email) => {
    await askForLink(page, email);
  },
  'the link': async (page, email) => {
    await page.goto(await askForLink(page, email));
    await parts.press(page).waitFor();
  },
  'the link elsewhere': async (page, email) => {
    const link = await askForLink(page, email);
    await page.context().clearCookies();
    await page.goto(link);
  },
  'the link is used': async (page, email) => {
    const link = await askForLink(page, email);
    await page.goto(link);
    await parts.press(page).click();
    await page.locator('#request').waitFor();
    await page.goto(link);
  },
  'the link is old': async (page, email) => {
    const link = await askForLink(page, email);
    await own.demo.advance({ minutes: 16 });
    await page.goto(link);
  },
  'no link': async (page) => {
    await page.goto(`${own.demo.url}/auth/magic-link/open?link=half`);
  },
};

for (const [number, [name, reach]] of Object.entries(PAGES).entries()) {
  test(`"${name}" is sound in every look`, async () => {
    const page = await own.page();
    await reach(page, `looks-${number}@example.com`);
    assert.equal(await page.locator('main').count(), 1, 'a page of ours');
    await assertSoundInEveryLook(page, lens, name);
  });

  test(`"${name}" is German for those who read it, and has room for it`, async () => {
    const page = await own.page({ locale: 'de-DE', viewport: { width: 320, height: 256 } });
    await reach(page, `german-${number}@example.com`);
    await assertGerman(page, name);
    await assertSound(page, name);
    await assertTargets(page, name);
    await assertBearsSpacing(page, name);
  });
}
