// Signing in with a link by mail, ours and WorkOS' own: programs that look into mails first, the person afterwards,
// other browsers, and links that are used, old, cut short or too many; with what WorkOS was asked and what the
// application was told.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';

import { ourCookies, requestSeen, seen, visitorWithProfile } from '../support/browser.mjs';
import { Mailbox } from '../support/mailbox.mjs';
import { OwnPage, answered, enter, parts } from '../support/own_page.mjs';
import { assertTold } from '../support/sound.mjs';
import { assertGerman, filled, words } from '../support/words.mjs';

/** WorkOS' link itself: whoever opens it has used it. */
const THEIRS = '/passwordless/open';
/** Where links are made at WorkOS. */
const SESSIONS = '/passwordless/sessions';
const METHODS = 'methods = ["authkit", "magic_auth", "magic_link"]\n';

let mailbox;
let own;
/** The same where WorkOS sends the mails. */
let plain;
before(async () => {
  mailbox = await Mailbox.start();
  const mail = `[sign_in.mail]\nsmtp_url = "smtp://127.0.0.1:${mailbox.port}"\nfrom = "Example <sign-in@example.com>"\n`;
  [own, plain] = await Promise.all([OwnPage.open(METHODS + mail), OwnPage.open(METHODS)]);
});
after(async () => {
  await own?.close();
  await plain?.close();
  await mailbox?.stop();
});
afterEach(async () => {
  await own.leave();
  await plain.leave();
});

/** Has a link mailed, on the way to `path`. */
async function ask(place, page, email, path = '/reports?x=1') {
  await place.arrive(page, path);
  return order(page, email);
}

/** Types an address into the page and has the link mailed. */
async function order(page, email) {
  await parts.address(page).fill(email);
  return answered(page, () => parts.askForLink(page).click());
}

/** The same, with the link in our own mail. */
async function askForLink(page, email, path) {
  const answer = await ask(own, page, email, path);
  assert.equal(answer.status(), 200);
  return mailbox.linkTo(email);
}

async function assertIn(page, email, path = '/reports?x=1') {
  await page.getByRole('heading', { name: `Hello, ${email}` }).waitFor();
  assert.equal(await requestSeen(page), `GET ${path}`);
  const headers = await seen(page);
  assert.equal(headers.get('x-forwarded-email'), email);
  assert.equal(headers.get('x-workos-auth-method'), 'MagicLink');
  assert.match(headers.get('x-workos-user-id'), /^prof_/);
}

const isOut = async (context) => !(await ourCookies(context)).has('vestibule');

/** What a scanner with a browser does: it loads the page with its scripts, and then sends every form and follows
 * every link that it finds there. */
async function scan(page, link) {
  await page.goto(link);
  const count = await page.evaluate(() => document.forms.length + document.links.length);
  assert.ok(count > 0, 'there is something to press');
  for (let number = 0; number < count; number += 1) {
    await page.goto(link);
    await answered(page, () =>
      page.evaluate((index) => {
        const all = [...document.forms, ...document.links];
        const one = all[index];
        if (one instanceof HTMLFormElement) one.requestSubmit();
        else one.click();
      }, number),
    );
  }
}

/** Sends what the button of the link's page would send, from a page of ours. */
async function pressUnseen(page, link) {
  await page.evaluate((sealed) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = '/auth/magic-link/open';
    form.innerHTML = '<input name="link">';
    form.firstChild.value = sealed;
    document.body.append(form);
    form.submit();
  }, new URL(link).searchParams.get('link'));
  await page.waitForURL('**/auth/magic-link/open');
}

const SCANNERS = {
  'that asks with HEAD': async (link) => {
    assert.ok((await fetch(link, { method: 'HEAD' })).status < 500);
  },
  'that asks with GET, twice': async (link) => {
    for (let time = 1; time <= 2; time += 1) await (await fetch(link)).text();
  },
  'with a browser, a profile and scripts of its own, that presses nothing': async (link) => {
    const folder = await mkdtemp(join(tmpdir(), 'vestibule-scanner-'));
    const profile = await visitorWithProfile(folder);
    try {
      for (let time = 1; time <= 2; time += 1) await (await profile.newPage()).goto(link);
      assert.ok(await isOut(profile));
    } finally {
      await profile.close();
      await rm(folder, { recursive: true });
    }
  },
  'that sends every form and follows every link': async (link) => {
    const scanner = await own.visitor();
    await scan(await scanner.newPage(), link);
    assert.ok(await isOut(scanner));
  },
  'that presses a button it was never shown': async (link) => {
    const scanner = await own.visitor();
    const page = await scanner.newPage();
    await page.goto(link);
    await pressUnseen(page, link);
    assert.match(await page.locator('h1').textContent(), /another browser/);
    assert.ok(await isOut(scanner));
  },
};

for (const [number, [what, look]] of Object.entries(SCANNERS).entries()) {
  test(`a scanner ${what} leaves the link to the person`, async () => {
    const email = `scanned-${number}@example.com`;
    const page = await own.page();
    const link = await askForLink(page, email);
    const opened = await own.demo.calls(THEIRS);
    await look(link);
    assert.equal(await own.demo.calls(THEIRS), opened, 'the link of WorkOS has not been touched');
    await page.goto(link);
    assert.equal(await page.evaluate(() => document.referrer), '');
    await page.reload();
    assert.equal(await own.demo.calls(THEIRS), opened, 'loading the page does not, either');
    await parts.press(page).click();
    await assertIn(page, email);
    assert.equal(await own.demo.calls(THEIRS), opened + 1);
  });
}

test('a link leads back to whatever was wanted', async () => {
  const page = await own.page();
  const path = '/reports/2026?q=a%26b+c&next=https%3A%2F%2Fevil.example%2F&%C3%A4=%E2%9C%93';
  await page.goto(await askForLink(page, 'deep@example.com', path));
  await parts.press(page).click();
  await assertIn(page, 'deep@example.com', path);
});

test('a second mail does not make the first one worthless', async () => {
  const page = await own.page();
  const first = await askForLink(page, 'two@example.com', '/first');
  const second = await askForLink(page, 'two@example.com', '/second');
  await page.goto(first);
  await parts.press(page).click();
  await assertIn(page, 'two@example.com', '/first');
  await page.goto(second);
  await parts.press(page).click();
  await assertIn(page, 'two@example.com', '/second');
});

test('in another browser a page says where the link works, and starts afresh', async () => {
  const page = await own.page();
  const link = await askForLink(page, 'second@example.com', '/reports');
  const elsewhere = await own.visitor();
  const other = await elsewhere.newPage();
  const answer = await other.goto(link);
  assert.equal(answer.status(), 403);
  assert.match(await other.locator('h1').textContent(), /another browser/);
  assert.equal(await parts.press(other).count(), 0);
  await parts.startOver(other).click();
  await parts.askForLink(other).waitFor();
  assert.equal(new URL(other.url()).search, '?return_to=%2Freports');
  assert.ok(await isOut(elsewhere));
});

test('a used link says so, also to whoever goes back or presses twice', async () => {
  const page = await own.page();
  const link = await askForLink(page, 'used@example.com', '/reports');
  await page.goto(link);
  await parts.press(page).dblclick();
  await assertIn(page, 'used@example.com', '/reports');
  await page.goBack();
  assert.match(await page.locator('h1').textContent(), /used/);
  await page.goto(link);
  assert.match(await page.locator('h1').textContent(), /used/);
  await page.locator('main a[href="/reports"]').click();
  await assertIn(page, 'used@example.com', '/reports');
});

test('a link that is too old says so, and one that is not yet too old works', async () => {
  const page = await own.page();
  const late = await askForLink(page, 'late@example.com', '/reports');
  await own.demo.advance({ minutes: 14 });
  const fresh = await askForLink(page, 'late@example.com', '/reports');
  await own.demo.advance({ seconds: 30 });
  const opened = await own.demo.calls(THEIRS);
  await page.goto(late);
  assert.match(await page.locator('h1').textContent(), /expired/);
  await pressUnseen(page, late);
  assert.match(await page.locator('h1').textContent(), /expired/);
  assert.equal(await own.demo.calls(THEIRS), opened);
  await page.goto(fresh);
  // The page stood open meanwhile.
  await own.demo.advance({ minutes: 13 });
  await parts.press(page).click();
  await assertIn(page, 'late@example.com', '/reports');
});

test('a link that was cut short, and one that somebody wrote, are none', async () => {
  const page = await own.page();
  const link = await askForLink(page, 'cut@example.com');
  for (const bad of [link.slice(0, -7), link.replace(/link=.*/, 'link='), `${link}x`, link.replace(/link=.*/, 'link="><b>')]) {
    const answer = await page.goto(bad);
    assert.equal(answer.status(), 400, bad);
    assert.equal(await parts.press(page).count(), 0);
    assert.equal(await page.locator('main b').count(), 0);
  }
  await page.goto(link);
  await parts.press(page).click();
  await assertIn(page, 'cut@example.com');
});

test('whoever is not remembered is forgotten with the browser, and twelve hours are the longest', async () => {
  const page = await own.page();
  await own.arrive(page, '/reports');
  await parts.address(page).fill('brief@example.com');
  await parts.rememberMe(page).uncheck();
  await answered(page, () => parts.askForLink(page).click());
  await page.goto(await mailbox.linkTo('brief@example.com'));
  await parts.press(page).click();
  await assertIn(page, 'brief@example.com', '/reports');
  assert.equal((await ourCookies(page.context())).get('vestibule').expires, -1);
  await own.demo.advance({ minutes: 12 * 60 - 1 });
  await page.reload();
  await assertIn(page, 'brief@example.com', '/reports');
  await own.demo.advance({ minutes: 2 });
  await page.reload();
  await parts.askForLink(page).waitFor();
});

test('an address that is none stays in its field, and nothing is mailed to it', async () => {
  const page = await own.page();
  const calls = await own.demo.calls(SESSIONS);
  const email = '"><script>document.title="seized"</script>@example.com';
  await own.arrive(page);
  await parts.askForLink(page).evaluate((button) => button.form.setAttribute('novalidate', ''));
  await parts.address(page).fill(email);
  const answer = await answered(page, () => parts.askForLink(page).click());
  assert.equal(answer.status(), 422);
  assert.match(await assertTold(page, parts.address(page)), /not an e-mail address/);
  assert.equal(await parts.address(page).inputValue(), email);
  assert.equal(await page.locator('script').count(), 0);
  assert.equal(await own.demo.calls(SESSIONS), calls);
});

test('the sixth link at once is not sent, the fifth still works, and another is sent as soon as it was said', async () => {
  const page = await own.page();
  const email = 'often@example.com';
  const askAgain = async (path) => {
    await page.goto(`${own.demo.url}/auth/sign-in?return_to=${encodeURIComponent(path)}`);
    return order(page, email);
  };
  await own.arrive(page);
  let link;
  for (let time = 1; time <= 5; time += 1) {
    assert.equal((await askAgain(`/reports?x=${time}`)).status(), 200);
    link = await mailbox.linkTo(email);
  }
  const calls = await own.demo.calls(SESSIONS);
  const answer = await askAgain('/reports?x=6');
  assert.equal(answer.status(), 429);
  const [, wait] = (await assertTold(page)).match(/too often.* (\d+) seconds/);
  assert.equal(answer.headers()['retry-after'], wait);
  assert.equal(wait, '180', 'one of five in a quarter of an hour');
  assert.equal(await parts.address(page).inputValue(), email);
  assert.equal(await own.demo.calls(SESSIONS), calls, 'no link is made in vain');
  await own.demo.advance({ seconds: Number(wait) - 1 });
  assert.equal((await order(page, email)).status(), 429);
  await own.demo.advance({ seconds: 1 });
  assert.equal((await order(page, email)).status(), 200);
  const sixth = await mailbox.linkTo(email);
  await page.goto(link);
  await parts.press(page).click();
  await assertIn(page, email, '/reports?x=5');
  await page.goto(sixth);
  await parts.press(page).click();
  await assertIn(page, email, '/reports?x=6');
});

for (const [what, fault] of Object.entries({
  'that is away': { status: 503 },
  'that answers with a page': { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>CANARY</html>' },
})) {
  test(`a WorkOS ${what} is told, and the link works when it is back`, async () => {
    const email = `back-${fault.status}@example.com`;
    const page = await own.page();
    await own.demo.hurt(SESSIONS, fault);
    const answer = await ask(own, page, email);
    assert.equal(answer.status(), 503);
    assert.match(await assertTold(page), /cannot be reached/);
    await own.demo.heal();
    await answered(page, () => parts.askForLink(page).click());
    await page.goto(await mailbox.linkTo(email));
    await own.demo.hurt('/sso/token', fault);
    const back = await answered(page, () => parts.press(page).click());
    assert.equal(back.status(), 503);
    assert.ok(!/CANARY/.test(await page.content()));
    assert.ok(await isOut(page.context()));
    await own.demo.heal();
    // The code of that link may be spent, so there is a fresh start on the way to the same page.
    await page.locator('main a[href*="return_to=%2Freports%3Fx%3D1"]').first().click();
    await parts.address(page).fill(email);
    await answered(page, () => parts.askForLink(page).click());
    await page.goto(await mailbox.linkTo(email));
    await parts.press(page).click();
    await assertIn(page, email);
  });
}

test('it works without script, with the keyboard alone', async () => {
  const page = await own.page();
  const link = await askForLink(page, 'fourth@example.com', '/reports');
  const storageState = await page.context().storageState();
  const quiet = await own.page({ javaScriptEnabled: false, storageState });
  await quiet.goto(link);
  await quiet.keyboard.press('Tab');
  await quiet.keyboard.press('Enter');
  await assertIn(quiet, 'fourth@example.com', '/reports');
  await quiet.goto(`${own.demo.url}/auth/me`);
  await quiet.getByText('MagicLink').waitFor();
  await quiet.locator('form[action$="/sign-out"] button').click();
  await quiet.waitForLoadState();
  assert.ok(await isOut(quiet.context()));
});

test('the mail and every page about it are German for those who read it', async () => {
  const page = await own.page({ locale: 'de-AT' });
  const said = words('de');
  const email = 'deutsch@example.com';
  const titled = async (where, title, what) => {
    assert.equal(await where.locator('h1').textContent(), title, what);
    await assertGerman(where, what);
  };
  await ask(own, page, email, '/reports');
  await titled(page, said.link.sent.title, 'sent');
  const letter = await mailbox.letterTo(email);
  const site = new URL(own.demo.url).host;
  const greeting = said.letter.text.split('\n')[0].split('{site}');
  assert.ok(greeting.every((part) => letter.text.includes(part)) && letter.text.includes(site), letter.text);
  assert.equal(letter.header('content-language'), 'de');
  const link = letter.link();

  const elsewhere = await own.page({ locale: 'de-AT' });
  await elsewhere.goto(link);
  await titled(elsewhere, said.link.other_browser.title, 'in another browser');
  await elsewhere.goto(link.slice(0, -7));
  await titled(elsewhere, said.link.unreadable.title, 'cut short');

  await page.goto(link);
  await titled(page, said.link.press.title, 'to press');
  await parts.press(page).click();
  await assertIn(page, email, '/reports');
  await page.goto(link);
  await titled(page, said.link.used.title, 'used');

  await ask(own, elsewhere, email, '/reports');
  const late = await mailbox.linkTo(email);
  await own.demo.advance({ minutes: 16 });
  await elsewhere.goto(late);
  await titled(elsewhere, said.link.expired.title, 'old');
  const minutes = filled(said.link.expired.text, { minutes: 15 });
  assert.ok((await elsewhere.locator('main').innerText()).includes(minutes));
});

/** The link that WorkOS has mailed. */
async function theirLink(email) {
  return (await plain.demo.mails(email, 'magic_link')).at(-1).link;
}

test('with the mail of WorkOS the person is in at once', async () => {
  const page = await plain.page();
  assert.equal((await ask(plain, page, 'theirs@example.com')).status(), 200);
  await page.goto(await theirLink('theirs@example.com'));
  await assertIn(page, 'theirs@example.com');
});

test('the mail of WorkOS is spent by a scanner, which gets nothing for it, and the person starts afresh', async () => {
  const email = 'spent@example.com';
  const page = await plain.page();
  await ask(plain, page, email);
  const link = await theirLink(email);
  const scanner = await plain.visitor();
  const opened = await scanner.newPage();
  const answer = await opened.goto(link);
  assert.equal(answer.status(), 403);
  assert.match(await opened.locator('h1').textContent(), /another browser/);
  assert.ok(await isOut(scanner));
  assert.equal(await plain.demo.calls('/sso/token'), 1, 'the code that came with it was not redeemed');
  // WorkOS says so to the person, in the tab that the mail opens. Ours is still there, and a code needs no link.
  const tab = await page.context().newPage();
  assert.ok((await tab.goto(link)).status() >= 400);
  await parts.startOver(page).click();
  await parts.address(page).fill(email);
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await plain.demo.mailed(email));
  await page.getByRole('heading', { name: `Hello, ${email}` }).waitFor();
  assert.equal(await requestSeen(page), 'GET /reports?x=1');
});

test('when the mail of WorkOS cannot be sent, that is told', async () => {
  const page = await plain.page();
  await plain.demo.hurt(`${SESSIONS}/*`, { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' });
  const answer = await ask(plain, page, 'unsent@example.com');
  assert.equal(answer.status(), 503);
  assert.match(await assertTold(page), /cannot be reached/);
});
