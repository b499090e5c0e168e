// Sessions that take more than one cookie, through a real nginx with the configuration that is shipped for it; and
// sessions that take more than four.

import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';

import { greeted, headersSeen, launch, ourCookies, pick, signIn, visitor } from '../support/browser.mjs';
import { Demo, configuration, freePort } from '../support/demo.mjs';
import { Nginx } from '../support/nginx.mjs';

let browser;
let nginx;
let demo;
before(async () => {
  const [tlsPort, plainPort, port] = [await freePort(), await freePort(), await freePort()];
  const config = await configuration({ server: 'trusted_proxies = ["127.0.0.1/32"]' });
  browser = await launch();
  demo = await Demo.start({ config, port, publicUrl: `https://localhost:${tlsPort}`, clock: 'frozen' });
  nginx = await Nginx.start({ tlsPort, plainPort, upstream: `http://127.0.0.1:${port}` });
});
after(async () => {
  await browser?.close();
  await nginx?.stop();
  await demo?.stop();
});

/** Gives somebody so many permissions in Acme, as long as real ones are. */
async function permit(email, count) {
  const name = (number) => `department-${number}:documents:read`;
  const permissions = Array.from({ length: count }, (_, number) => name(number));
  const membership = { organization: 'Acme', roles: ['member'], permissions };
  const answer = await fetch(`${demo.emulator}/_control/v1/users/${email}/memberships`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(membership),
  });
  assert.ok(answer.ok, await answer.text());
}

const parts = async (context) =>
  [...(await ourCookies(context)).keys()].filter((name) => /^__Host-vestibule(\.\d)?$/.test(name)).sort();

test('somebody with two hundred permissions works behind nginx, and is renewed there', async () => {
  await permit('ben@example.com', 200);
  const context = await visitor(browser, { ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await signIn(page, `${demo.url}/reports`, 'ben', 'Acme');
  const cookies = await parts(context);
  assert.ok(cookies.length >= 2, `it takes several cookies: ${cookies}`);
  for (let lifetime = 0; lifetime < 3; lifetime += 1) {
    await demo.advance({ minutes: 6 });
    await page.reload();
    await greeted(page, 'ben');
    const seen = new Map(await headersSeen(page));
    assert.equal(seen.get('x-forwarded-email'), 'ben@example.com');
    assert.equal(seen.get('x-workos-permissions').split(',').length, 200);
    assert.ok(!(seen.get('cookie') ?? '').includes('vestibule'), 'no part of it reaches the application');
  }
  assert.deepEqual(await parts(context), cookies);
  await context.close();
});

test('somebody with more than four cookies hold is told so, and is not sent round in a circle', async () => {
  await permit('cleo@example.com', 900);
  const context = await visitor(browser, { ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const answers = [];
  page.on('response', (response) => answers.push(`${response.status()} ${new URL(response.url()).pathname}`));
  await page.goto(`${demo.url}/reports`);
  await pick(page, 'cleo');
  await page.getByRole('heading', { name: 'Your session does not fit' }).waitFor();
  await page.getByText('more roles and permissions than browser cookies can hold').waitFor();
  assert.equal(answers.filter((answer) => answer.endsWith('/auth/callback')).length, 1, answers.join('\n'));
  assert.ok(answers.some((answer) => answer === '403 /auth/callback'), answers.join('\n'));
  assert.match(demo.program.log, /too large for cookies/);
  assert.deepEqual(await parts(context), []);
  await context.close();
});
