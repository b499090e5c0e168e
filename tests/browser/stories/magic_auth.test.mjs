// A code by mail on our own page: how people come in with it, everything that can go wrong, and that each is told in
// its own words; with a look at what WorkOS holds and what the application was told.

import { strict as assert } from 'node:assert';
import { after, afterEach, before, test } from 'node:test';

import { ourCookies, requestSeen, seen } from '../support/browser.mjs';
import { OwnPage, answered, enter, other, parts } from '../support/own_page.mjs';
import { until } from '../support/processes.mjs';
import { assertTold } from '../support/sound.mjs';

const SENDING = '/user_management/magic_auth';
const ENTERING = '/user_management/authenticate';

let own;
let demo;
before(async () => {
  own = await OwnPage.open('methods = ["authkit", "magic_auth"]\n');
  demo = own.demo;
});
after(() => own?.close());
afterEach(() => own.leave());

/** The person is signed in, and nothing of the attempt is left. */
async function assertIn(page, email, path = '/reports?year=2026') {
  await page.getByRole('heading', { name: `Hello, ${email}` }).waitFor();
  assert.equal(await requestSeen(page), `GET ${path}`);
  const headers = await seen(page);
  assert.equal(headers.get('x-forwarded-email'), email);
  assert.ok(!/vestibule/.test(headers.get('cookie') ?? ''), 'the application never sees our cookies');
  const cookies = await ourCookies(page.context());
  assert.deepEqual([...cookies.keys()].filter((name) => /pending/.test(name)), []);
}

/** Nobody is signed in here. */
async function assertOut(page, email) {
  assert.equal((await ourCookies(page.context())).has('vestibule'), false);
  assert.deepEqual(await demo.workosSessionsOf(email), [], 'WorkOS has no session either');
}

test('a code by mail opens one session and leads to the page that was wanted', async () => {
  const page = await own.page();
  const path = '/reports/2026?q=a%26b+c&next=https%3A%2F%2Fevil.example%2F&empty=&%C3%A4=%E2%9C%93';
  await own.askForCode(page, 'way@example.com', path);
  assert.equal((await demo.mails('way@example.com')).length, 1);
  await assertOut(page, 'way@example.com');
  await enter(page, await demo.mailed('way@example.com'));
  await assertIn(page, 'way@example.com', path);
  const sessions = await demo.workosSessionsOf('way@example.com');
  assert.deepEqual(sessions.map(({ status }) => status), ['active']);
  const headers = await seen(page);
  assert.equal(headers.get('x-workos-session-id'), sessions[0].id);
  assert.equal(headers.get('x-workos-auth-method'), 'MagicAuth');
});

test('what is no address is told at its field, stays in it, and never reaches WorkOS', async () => {
  const page = await own.page();
  const calls = await demo.calls(SENDING);
  const bad = ['ada', 'ada@', '@example.com', 'a@b@example.com', 'ada@example..com', 'a,b@example.com'];
  const script = '"><script>document.title = "seized"</script>@example.com';
  for (const email of [...bad, `${'a'.repeat(65)}@example.com`, script]) {
    await page.goto(`${demo.url}/auth/sign-in?return_to=%2Freports`);
    // What the browser itself refuses, others send.
    await parts.askForCode(page).evaluate((button) => button.form.setAttribute('novalidate', ''));
    await parts.address(page).fill(email);
    const answer = await answered(page, () => parts.askForCode(page).click());
    assert.equal(answer.status(), 422, email);
    assert.match(await assertTold(page, parts.address(page)), /not an e-mail address/);
    assert.equal(await parts.address(page).inputValue(), email);
    assert.equal(await page.locator('script').count(), 0, 'nothing that was typed is markup');
  }
  // More than a field takes is not given back.
  await parts.address(page).evaluate((field) => field.removeAttribute('maxlength'));
  await parts.askForCode(page).evaluate((button) => button.form.setAttribute('novalidate', ''));
  await parts.address(page).fill(`${'a'.repeat(10_000)}@example.com`);
  await answered(page, () => parts.askForCode(page).click());
  assert.match(await assertTold(page, parts.address(page)), /not an e-mail address/);
  assert.ok((await page.content()).length < 20_000);
  assert.equal(await demo.calls(SENDING), calls, 'WorkOS was not asked');
  // From there it goes on, to the page that was wanted.
  await parts.address(page).fill('typo@example.com');
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await demo.mailed('typo@example.com'));
  await assertIn(page, 'typo@example.com', '/reports');
});

test('letters are no code, which WorkOS is not asked about; a wrong one can be corrected', async () => {
  const page = await own.page();
  await own.askForCode(page, 'wrong@example.com');
  const code = await demo.mailed('wrong@example.com');
  const calls = await demo.calls(ENTERING);
  for (const letters of ['abcdef', '12345', '1234567', '12a456', '<b>123']) {
    await enter(page, letters);
    assert.match(await assertTold(page, parts.code(page)), /six digits/, letters);
  }
  assert.equal(await demo.calls(ENTERING), calls);
  await enter(page, other(code));
  assert.match(await assertTold(page, parts.code(page)), /not right/);
  assert.equal(await parts.code(page).inputValue(), '', 'a code is not shown again');
  assert.equal(await demo.calls(ENTERING), calls + 1);
  await assertOut(page, 'wrong@example.com');
  await enter(page, code);
  await assertIn(page, 'wrong@example.com');
});

test('a code that is too old says so, and the next one works from there', async () => {
  const page = await own.page();
  await own.askForCode(page, 'late@example.com');
  const code = await demo.mailed('late@example.com');
  await demo.advance({ minutes: 11 });
  await enter(page, code);
  assert.match(await assertTold(page), /expired/);
  await assertOut(page, 'late@example.com');
  await answered(page, () => parts.sendAgain(page).click());
  await enter(page, await demo.mailed('late@example.com'));
  await assertIn(page, 'late@example.com');
});

test('a code that was used says so in the next attempt', async () => {
  const page = await own.page();
  await own.comeIn(page, 'used@example.com');
  const code = await demo.mailed('used@example.com');
  await assertIn(page, 'used@example.com');
  const later = await own.page();
  await own.askForCode(later, 'used@example.com');
  await enter(later, code);
  assert.match(await assertTold(later), /used already/);
  assert.equal((await ourCookies(later.context())).has('vestibule'), false);
  assert.equal((await demo.workosSessionsOf('used@example.com')).length, 1);
});

test('a code that was guessed at too often is closed, and another one opens', async () => {
  const page = await own.page();
  await own.askForCode(page, 'guess@example.com');
  const code = await demo.mailed('guess@example.com');
  for (let time = 1; time <= 5; time += 1) await enter(page, other(code));
  await enter(page, code);
  assert.match(await assertTold(page), /too many wrong codes/i);
  await assertOut(page, 'guess@example.com');
  await answered(page, () => parts.sendAgain(page).click());
  await enter(page, await demo.mailed('guess@example.com'));
  await assertIn(page, 'guess@example.com');
});

test('whoever guesses on and on must wait, and WorkOS is left alone meanwhile', async () => {
  const page = await own.page();
  await own.askForCode(page, 'storm@example.com');
  // A mail is good for five guesses, and an address for ten tries at once.
  for (let mail = 1; mail <= 2; mail += 1) {
    const code = other(await demo.mailed('storm@example.com'));
    for (let time = 1; time <= 5; time += 1) await enter(page, code);
    await answered(page, () => parts.sendAgain(page).click());
  }
  const calls = await demo.calls(ENTERING);
  await parts.code(page).fill(other(await demo.mailed('storm@example.com')));
  const answer = await answered(page, () => parts.goOn(page).click());
  await assertTooOften(page, answer);
  assert.equal(await demo.calls(ENTERING), calls);
});

test('another code takes the place of the one before', async () => {
  const page = await own.page();
  await own.askForCode(page, 'again@example.com');
  const first = await demo.mailed('again@example.com');
  await answered(page, () => parts.sendAgain(page).click());
  assert.equal(await parts.alert(page).count(), 0);
  const mails = await demo.mails('again@example.com');
  assert.equal(mails.length, 2);
  if (first !== mails[1].code) {
    await enter(page, first);
    assert.match(await assertTold(page), /expired/);
  }
  await enter(page, mails[1].code);
  await assertIn(page, 'again@example.com');
});

/** Is told to wait, in the page and in the header alike; gives for how many seconds. */
async function assertTooOften(page, answer) {
  assert.equal(answer.status(), 429);
  const [, wait] = (await assertTold(page)).match(/too often.* (\d+) seconds/);
  assert.equal(answer.headers()['retry-after'], wait);
  return Number(wait);
}

test('the fourth code at once is not sent, and is as soon as it was said, by us and by WorkOS', async () => {
  const page = await own.page();
  const email = 'often@example.com';
  await own.askForCode(page, email);
  for (let time = 2; time <= 3; time += 1) await answered(page, () => parts.sendAgain(page).click());
  const calls = await demo.calls(SENDING);
  const wait = await assertTooOften(page, await answered(page, () => parts.sendAgain(page).click()));
  assert.equal(wait, 60, 'three at once, then one a minute');
  await demo.advance({ seconds: wait - 1 });
  const early = await assertTooOften(page, await answered(page, () => parts.sendAgain(page).click()));
  assert.equal(early, 1, 'asking in vain costs nothing');
  assert.equal(await demo.calls(SENDING), calls, 'nor is WorkOS asked');
  assert.equal((await demo.mails(email)).length, 3);
  await demo.advance({ seconds: early });
  await answered(page, () => parts.sendAgain(page).click());
  assert.equal(await parts.alert(page).count(), 0);
  assert.equal((await demo.mails(email)).length, 4);
  await enter(page, await demo.mailed(email));
  await assertIn(page, email);
});

test('where WorkOS itself sends fewer, its time is told and kept, and the latest code is good meanwhile', async () => {
  const refused = async (page, email) => {
    await own.askForCode(page, email);
    await answered(page, () => parts.sendAgain(page).click());
    const wait = await assertTooOften(page, await answered(page, () => parts.sendAgain(page).click()));
    assert.equal((await demo.mails(email)).length, 2);
    return wait;
  };
  await demo.tell('POST', 'sign_in', { sends_per_minute: 2 });
  try {
    const page = await own.page();
    await demo.advance({ seconds: await refused(page, 'patient@example.com') });
    await answered(page, () => parts.sendAgain(page).click());
    assert.equal(await parts.alert(page).count(), 0);
    assert.equal((await demo.mails('patient@example.com')).length, 3);
    await enter(page, await demo.mailed('patient@example.com'));
    await assertIn(page, 'patient@example.com');

    const hasty = await own.page();
    await refused(hasty, 'third@example.com');
    await enter(hasty, await demo.mailed('third@example.com'));
    await assertIn(hasty, 'third@example.com');
  } finally {
    await demo.tell('POST', 'sign_in', { sends_per_minute: 3 });
  }
});

const TROUBLES = {
  'is away': { status: 503 },
  'closes the connection': { drop_before: true },
  'answers with a page of a gateway': { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>CANARY</html>' },
  'answers with a page and calls it good': { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>CANARY</html>' },
};

for (const [number, [what, fault]] of Object.entries(TROUBLES).entries()) {
  test(`a WorkOS that ${what} takes nothing away`, async () => {
    const email = `trouble-${number}@example.com`;
    const page = await own.page();
    await own.arrive(page);
    await parts.address(page).fill(email);
    await demo.hurt(SENDING, fault);
    const sent = await answered(page, () => parts.askForCode(page).click());
    assert.equal(sent.status(), 503);
    assert.match(await assertTold(page), /cannot be reached/);
    assert.equal(await parts.address(page).inputValue(), email, 'the address is still there');
    await demo.heal();
    await answered(page, () => parts.askForCode(page).click());
    const code = await demo.mailed(email);
    await demo.hurt(ENTERING, fault);
    await enter(page, code);
    assert.match(await assertTold(page), /cannot be reached/);
    assert.ok(!/CANARY/.test(await page.content()), 'what WorkOS said stays with us');
    await demo.heal();
    await enter(page, code);
    await assertIn(page, email);
  });
}

test('an attempt that is long over begins anew on the way to the same page', async () => {
  const page = await own.page();
  await own.askForCode(page, 'over@example.com');
  const code = await demo.mailed('over@example.com');
  await demo.advance({ minutes: 31 });
  await enter(page, code);
  assert.match(await assertTold(page), /took too long/);
  await assertOut(page, 'over@example.com');
  await parts.address(page).fill('over@example.com');
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await demo.mailed('over@example.com'));
  await assertIn(page, 'over@example.com');
});

test('a code works in the browser that asked for it and in no other', async () => {
  const page = await own.page();
  await own.askForCode(page, 'elsewhere@example.com');
  const code = await demo.mailed('elsewhere@example.com');
  const thief = await own.page();
  await thief.goto(`${demo.url}/auth/sign-in?return_to=%2Freports`);
  // The form of the page with the code, as the other browser shows it.
  await thief.evaluate((known) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = '/auth/magic-auth/verify';
    for (const [name, value] of [['code', known], ['return_to', '/reports?year=2026']]) {
      const field = document.createElement('input');
      Object.assign(field, { name, value });
      form.append(field);
    }
    document.body.append(form);
    form.submit();
  }, code);
  await parts.alert(thief).waitFor();
  assert.match(await assertTold(thief), /another browser/);
  await assertOut(thief, 'elsewhere@example.com');
  await enter(page, code);
  await assertIn(page, 'elsewhere@example.com');
});

test('nobody learns which addresses there are', async () => {
  const told = async (email) => {
    const page = await own.page();
    await own.askForCode(page, email);
    return (await page.locator('main').innerText()).replaceAll(email, 'somebody');
  };
  const known = await told('ada@example.com');
  await demo.tell('POST', 'sign_in', { sign_up: false });
  try {
    assert.equal(await told('nobody@example.com'), known);
    assert.deepEqual(await demo.mails('nobody@example.com'), []);
  } finally {
    await demo.tell('POST', 'sign_in', { sign_up: true });
  }
});

test('back and forth: another address can be given, and the code still be entered', async () => {
  const page = await own.page();
  await own.askForCode(page, 'back@example.com');
  const first = await demo.mailed('back@example.com');
  await page.goBack();
  await parts.address(page).waitFor();
  await parts.address(page).fill('forth@example.com');
  await answered(page, () => parts.askForCode(page).click());
  await page.getByText('forth@example.com').waitFor();
  // The attempt is now the other address's.
  const second = await demo.mailed('forth@example.com');
  if (first !== second) {
    await enter(page, first);
    assert.match(await assertTold(page), /not right/);
  }
  await enter(page, second);
  await assertIn(page, 'forth@example.com');
  await assertOut(await own.page(), 'back@example.com');
});

test('a page that is loaded again sends another code, and that one works', async () => {
  const page = await own.page();
  await own.askForCode(page, 'reload@example.com');
  await page.reload();
  await parts.code(page).waitFor();
  await enter(page, await demo.mailed('reload@example.com'));
  await assertIn(page, 'reload@example.com');
});

test('pressing twice asks once and enters once', async () => {
  const page = await own.page();
  await own.arrive(page);
  await parts.address(page).fill('twice@example.com');
  await parts.askForCode(page).dblclick();
  await parts.code(page).waitFor();
  assert.equal((await demo.mails('twice@example.com')).length, 1);
  await parts.code(page).fill(await demo.mailed('twice@example.com'));
  await parts.goOn(page).dblclick();
  await assertIn(page, 'twice@example.com');
  assert.equal((await demo.workosSessionsOf('twice@example.com')).length, 1);
});

test('whoever presses again while the answer is on its way is in, once', async () => {
  const page = await own.page();
  await own.askForCode(page, 'impatient@example.com');
  await parts.code(page).fill(await demo.mailed('impatient@example.com'));
  await demo.hurt(ENTERING, { hang: true });
  const calls = await demo.calls(ENTERING);
  const presses = [];
  page.on('request', (request) => request.method() === 'POST' && presses.push(request.url()));
  await parts.goOn(page).click({ noWaitAfter: true });
  await until(async () => (await demo.calls(ENTERING)) > calls, () => 'WorkOS was not asked');
  // Not by the page's own waiting: the browser drops the first answer for this one.
  for (let time = 2; time <= 3; time += 1) {
    await page.mouse.down();
    await page.mouse.up();
    await until(() => presses.length >= time, () => `pressed ${presses.length} times`);
  }
  await demo.heal();
  await assertIn(page, 'impatient@example.com');
  assert.equal(await demo.calls(ENTERING), calls + 1, 'a code is entered once');
  const sessions = await demo.workosSessionsOf('impatient@example.com');
  assert.deepEqual(sessions.map(({ status }) => status), ['active']);
  assert.equal((await seen(page)).get('x-workos-session-id'), sessions[0].id);
});

test('two tabs with one mail each come to the page that they were on the way to', async () => {
  const context = await own.visitor();
  const [first, second] = [await context.newPage(), await context.newPage()];
  await own.askForCode(first, 'tabs@example.com', '/first?tab');
  await own.askForCode(second, 'tabs@example.com', '/second?tab');
  // The newest mail counts, in whichever tab.
  const code = await demo.mailed('tabs@example.com');
  await enter(first, code);
  await assertIn(first, 'tabs@example.com', '/first?tab');
  // The other one finds itself signed in, whatever is typed into it.
  await enter(second, code);
  await assertIn(second, 'tabs@example.com', '/second?tab');
  assert.equal((await demo.workosSessionsOf('tabs@example.com')).length, 1);
});

test('two tabs with two addresses: the newer sign-in goes on, and the older one is told so', async () => {
  const context = await own.visitor();
  const [first, second] = [await context.newPage(), await context.newPage()];
  await own.askForCode(first, 'older@example.com', '/first?tab');
  await own.askForCode(second, 'newer@example.com', '/second?tab');
  const [older, newer] = [await demo.mailed('older@example.com'), await demo.mailed('newer@example.com')];
  const calls = await demo.calls(ENTERING);
  await parts.code(first).fill(older);
  const answer = await answered(first, () => parts.goOn(first).click());
  assert.equal(answer.status(), 422);
  assert.match(await assertTold(first), /another tab .* newer sign-in .* Go on there, or start again here/);
  assert.equal(await parts.address(first).inputValue(), 'older@example.com', 'it can begin again where it was');
  assert.equal(await first.locator('input[name=return_to]').first().getAttribute('value'), '/first?tab');
  assert.equal(await demo.calls(ENTERING), calls, 'a code for one is not tried for the other');
  await assertOut(first, 'older@example.com');
  await assertOut(second, 'newer@example.com');
  await enter(second, newer);
  await assertIn(second, 'newer@example.com', '/second?tab');
  assert.equal((await demo.workosSessionsOf('newer@example.com')).length, 1);
  assert.deepEqual(await demo.workosSessionsOf('older@example.com'), []);
  // What was begun first can be begun again from its page.
  await answered(first, () => parts.askForCode(first).click());
  await enter(first, await demo.mailed('older@example.com'));
  await assertIn(first, 'older@example.com', '/first?tab');
});

test('whoever is in already and signs in as somebody else is somebody else', async () => {
  const page = await own.page();
  await own.comeIn(page, 'before@example.com');
  await assertIn(page, 'before@example.com');
  await demo.advance({ minutes: 1 });
  await page.goto(`${demo.url}/auth/sign-in?return_to=%2Freports`);
  await parts.address(page).fill('after@example.com');
  await answered(page, () => parts.askForCode(page).click());
  await enter(page, await demo.mailed('after@example.com'));
  await assertIn(page, 'after@example.com', '/reports');
});

test('a code is pasted as the mail shows it', async () => {
  const context = await own.visitor({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  await own.askForCode(page, 'paste@example.com');
  const code = await demo.mailed('paste@example.com');
  await page.evaluate((text) => navigator.clipboard.writeText(text), ` ${code.slice(0, 3)} ${code.slice(3)}\n`);
  await parts.code(page).focus();
  await page.keyboard.press('Control+V');
  await page.keyboard.press('Enter');
  await assertIn(page, 'paste@example.com');
});
