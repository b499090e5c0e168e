// What time does to a session: it is kept alive over many access tokens, and ends when it has to.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, launch, onSignInPage, ourCookies, signIn, visitor } from '../support/browser.mjs';
import { Demo, configuration, freePort } from '../support/demo.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

/** Runs a story with a demo of its own, whose clocks only the story moves. */
async function withDemo(settings, story) {
  const demo = await Demo.start({ clock: 'frozen', ...settings });
  const context = await visitor(browser);
  try {
    await story(demo, await context.newPage(), context);
  } finally {
    await context.close();
    await demo.stop();
  }
}

test('somebody who comes by every four minutes is kept signed in for two hours', async () => {
  await withDemo({}, async (demo, page) => {
    await signIn(page, demo.url);
    for (let visit = 0; visit < 30; visit += 1) {
      await demo.advance({ minutes: 4 });
      await page.reload();
      await greeted(page);
    }
    const sessions = await demo.workosSessions();
    assert.equal(sessions.length, 1, 'one session at WorkOS all the time');
    assert.ok(sessions[0].refresh_tokens.length > 5, 'which was renewed');
  });
});

test('two tabs that come back after a long pause at the same moment both stay signed in', async () => {
  await withDemo({}, async (demo, page, context) => {
    await signIn(page, demo.url);
    const tabs = [page, ...(await Promise.all(Array.from({ length: 5 }, () => context.newPage())))];
    for (let round = 0; round < 3; round += 1) {
      await demo.advance({ minutes: 20 });
      await Promise.all(tabs.map((tab, number) => tab.goto(`${demo.url}/tab/${number}`)));
      await Promise.all(tabs.map((tab) => greeted(tab)));
    }
    assert.equal((await demo.workosSessions()).length, 1);
  });
});

test('twenty tabs with timers of their own stay signed in over several access tokens', async () => {
  await withDemo({}, async (demo, page, context) => {
    await signIn(page, demo.url);
    const tabs = await Promise.all(Array.from({ length: 20 }, () => context.newPage()));
    await Promise.all(tabs.map((tab, number) => tab.goto(`${demo.url}/tab/${number}`)));
    const askEvery = (tab, milliseconds) =>
      tab.evaluate((pause) => {
        window.asked = { good: 0, other: [] };
        setInterval(async () => {
          const answer = await fetch('/who.json', { redirect: 'manual' });
          if (answer.status !== 200) {
            window.asked.other.push(answer.status);
            return;
          }
          const { headers } = await answer.json();
          const person = new Map(headers).get('x-forwarded-email');
          if (person === 'ada@example.com') window.asked.good += 1;
          else window.asked.other.push(person);
        }, pause);
      }, milliseconds);
    await Promise.all(tabs.map((tab, number) => askEvery(tab, 60 + 7 * number)));
    // Five access tokens of five minutes, seen at many moments of their lives.
    for (let step = 0; step < 100; step += 1) {
      await demo.advance({ seconds: 15 });
      await page.waitForTimeout(50);
    }
    for (const [number, tab] of tabs.entries()) {
      const { good, other } = await tab.evaluate(() => window.asked);
      assert.deepEqual(other, [], `tab ${number} met nothing but its own session`);
      assert.ok(good >= 10, `tab ${number} asked ${good} times`);
      assert.equal(tab.url(), `${demo.url}/tab/${number}`, 'and no sign-in appeared');
    }
    const sessions = await demo.workosSessions();
    assert.equal(sessions.length, 1);
    const { refresh_tokens: renewals } = sessions[0];
    assert.ok(renewals.length >= 5 && renewals.length <= 9, `renewed once for each token: ${renewals.length}`);
  });
});

test('after a day without a visit the sign-in starts anew', async () => {
  await withDemo({}, async (demo, page, context) => {
    await signIn(page, demo.url);
    await demo.advance({ minutes: 23 * 60 });
    await page.reload();
    await greeted(page);
    await demo.advance({ minutes: 25 * 60 });
    // AuthKit still knows the person, so the way there and back asks nothing; but it is a new session.
    await page.reload();
    await greeted(page);
    assert.equal((await demo.workosSessions()).length, 2);
    assert.ok((await ourCookies(context)).has('vestibule'));
  });
});

test('a session that was revoked at WorkOS ends with its access token', async () => {
  await withDemo({}, async (demo, page) => {
    await signIn(page, demo.url);
    const [session] = await demo.workosSessions();
    const answer = await fetch(`${demo.emulator}/_control/v1/sessions/${session.id}/revoke`, { method: 'POST' });
    assert.equal(answer.status, 200);
    await page.reload();
    await greeted(page);
    await demo.advance({ minutes: 6 });
    // AuthKit still knows the person; a new session begins, without a question.
    await page.goto(`${demo.url}/after`);
    await greeted(page);
    const statuses = (await demo.workosSessions()).map(({ status }) => status);
    assert.deepEqual(statuses, ['revoked', 'active']);
  });
});

test('a session survives a restart of the proxy', async () => {
  const port = await freePort();
  const config = await configuration();
  const context = await visitor(browser);
  const page = await context.newPage();
  const first = await Demo.start({ config, port });
  await signIn(page, first.url);
  await first.stop();
  const second = await Demo.start({ config, port });
  try {
    assert.equal(second.url, first.url);
    await page.reload();
    await greeted(page);
    // Nothing was asked of WorkOS: the emulator came up anew as well, and knows no session.
    await page.goto(`${second.url}/auth/me`);
    await page.getByRole('heading', { name: 'Your session' }).waitFor();
  } finally {
    await second.stop();
    await context.close();
  }
});

test('a session sealed with a key that is gone is no session, and no error either', async () => {
  const port = await freePort();
  const context = await visitor(browser);
  const page = await context.newPage();
  const first = await Demo.start({ config: await configuration(), port });
  await signIn(page, first.url);
  await first.stop();
  const second = await Demo.start({ config: await configuration(), port });
  try {
    await page.reload();
    await onSignInPage(page);
  } finally {
    await second.stop();
    await context.close();
  }
});
