// Conformance: WorkOS' own Node SDK, which was not written for this emulator, uses it as it would use
// WorkOS. The sign-in itself is done as a browser does it: by following redirects and sending the form.
//
// How to run: `./run` beside this file does everything. By hand: build the binary
// (`cargo build -p workos-emulator`), start it on a free port with time standing still
// (`workos-emulator --listen 127.0.0.1:0 --virtual-time`; it prints its address), then
// `npm ci && EMULATOR_URL=<address> node --test run.mjs`, or any other of the stories.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { WorkOS, createWorkOS } from '@workos-inc/node';

import { Browser, advance, clientId, cookiePassword, options, people, redirectUri, refusedAs, signIn, signedOut, verify, workos } from './peer.mjs';

test('a person signs in through the page and the code becomes tokens', async () => {
  const answer = await signIn(new Browser(), 'Ada');
  assert.equal(answer.user.email, 'ada@example.com');
  assert.equal(answer.user.firstName, 'Ada');
  assert.equal(answer.authenticationMethod, 'MagicAuth');
  const claims = await verify(answer.accessToken);
  assert.equal(claims.sub, answer.user.id);
  assert.equal(claims.org_id, answer.organizationId);
  assert.equal(claims.role, 'admin');
  assert.deepEqual(claims.permissions, ['reports:read', 'reports:write']);
  assert.equal(typeof claims.auth_time, 'number');
  assert.match(claims.sid, /^session_/);
});

test('a cancelled sign-in comes back as an error', async () => {
  const { url } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  const browser = new Browser();
  const { arrived } = await browser.press(await browser.visit(url), 'Cancel');
  assert.equal(arrived.searchParams.get('error'), 'access_denied');
});

test('a wrong verifier is refused', async () => {
  const { url } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  const browser = new Browser();
  const { arrived } = await browser.press(await browser.visit(url), 'Cleo');
  const { codeVerifier } = await workos.pkce.generate();
  const attempt = people.authenticateWithCode({ code: arrived.searchParams.get('code'), codeVerifier });
  await assert.rejects(attempt, refusedAs('invalid_grant'));
});

test('a refresh rotates, replays for thirty seconds and is then refused', async () => {
  const first = await signIn(new Browser(), 'Ada');
  const second = await people.authenticateWithRefreshToken({ refreshToken: first.refreshToken });
  assert.notEqual(second.refreshToken, first.refreshToken);
  assert.equal((await verify(second.accessToken)).sid, (await verify(first.accessToken)).sid);
  const replayed = await people.authenticateWithRefreshToken({ refreshToken: first.refreshToken });
  assert.equal(replayed.refreshToken, second.refreshToken);
  await advance(31);
  const late = people.authenticateWithRefreshToken({ refreshToken: first.refreshToken });
  await assert.rejects(late, refusedAs('invalid_grant'));
});

test('a terminal renews its tokens without a secret', async () => {
  const terminal = createWorkOS({ ...options, clientId }).userManagement;
  const first = await signIn(new Browser(), 'Ada');
  const second = await terminal.authenticateWithRefreshToken({ refreshToken: first.refreshToken });
  assert.notEqual(second.refreshToken, first.refreshToken);
  assert.equal((await verify(second.accessToken)).sid, (await verify(first.accessToken)).sid);
});

test('an organization the person does not belong to is refused', async () => {
  const { refreshToken } = await signIn(new Browser(), 'Ada');
  const organizations = await workos.organizations.listOrganizations();
  const globex = organizations.data.find((organization) => organization.name === 'Globex');
  const attempt = people.authenticateWithRefreshToken({ refreshToken, organizationId: globex.id });
  await assert.rejects(attempt, refusedAs('organization_membership_not_found'));
});

test('the sealed session of the SDK authenticates and refreshes', async () => {
  const { sealedSession } = await signIn(new Browser(), 'Ada', { sealSession: true, cookiePassword });
  const session = people.loadSealedSession({ sessionData: sealedSession, cookiePassword });
  const authenticated = await session.authenticate();
  assert.equal(authenticated.authenticated, true, authenticated.reason);
  assert.equal(authenticated.role, 'admin');
  const refreshed = await session.refresh();
  assert.equal(refreshed.authenticated, true, refreshed.reason);
});

test('people are listed page by page', async () => {
  for (let count = 0; count < 5; count += 1) {
    await people.createUser({ email: `${randomUUID()}@example.com` });
  }
  const seen = [];
  let after;
  do {
    const page = await people.listUsers({ limit: 2, after });
    assert.ok(page.data.length <= 2);
    seen.push(...page.data);
    after = page.listMetadata.after;
  } while (after);
  assert.equal(new Set(seen.map((user) => user.id)).size, seen.length);
  assert.ok(seen.length >= 9);
  const all = await (await people.listUsers()).autoPagination();
  assert.deepEqual(all.map((user) => user.id), seen.map((user) => user.id));
  const [ada] = (await people.listUsers({ email: 'ada@example.com' })).data;
  assert.equal((await people.getUser(ada.id)).email, 'ada@example.com');
  await assert.rejects(people.getUser('user_unknown'), (thrown) => thrown.status === 404);
});

test('sessions are listed and revoked', async () => {
  const answer = await signIn(new Browser(), 'Dan');
  assert.equal(answer.user.emailVerified, false);
  const { sid } = await verify(answer.accessToken);
  const find = async () => (await people.listSessions(answer.user.id)).data.find((session) => session.id === sid);
  const live = await find();
  assert.equal(live.status, 'active');
  assert.equal(live.authMethod, 'magic_code');
  assert.equal(live.ipAddress, '203.0.113.7');
  await people.revokeSession({ sessionId: sid });
  const ended = await find();
  assert.equal(ended.status, 'revoked');
  assert.ok(ended.endedAt);
  const attempt = people.authenticateWithRefreshToken({ refreshToken: answer.refreshToken });
  await assert.rejects(attempt, refusedAs('invalid_grant'));
  const events = await workos.events.listEvents({ events: ['session.revoked'] });
  assert.ok(events.data.some((event) => event.data.id === sid));
});

test('the logout URL ends the session and the browser forgets the person', async () => {
  const browser = new Browser();
  const first = await signIn(browser, 'Ada');
  const silent = await signIn(browser, 'nobody is asked');
  assert.equal(silent.user.id, first.user.id);
  const { sid } = await verify(silent.accessToken);
  const { arrived } = await browser.visit(people.getLogoutUrl({ sessionId: sid, returnTo: signedOut }));
  assert.equal(arrived.href, signedOut);
  const { url } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  const page = await browser.visit(url);
  assert.match(page.html, /choose who you are/);
});

test('a wrong API key is told apart from a wrong grant', async () => {
  const stranger = new WorkOS('sk_test_wrong', options);
  await assert.rejects(stranger.userManagement.listUsers(), (thrown) => thrown.status === 401);
  const { refreshToken } = await signIn(new Browser(), 'Ada');
  const attempt = stranger.userManagement.authenticateWithRefreshToken({ refreshToken });
  await assert.rejects(attempt, refusedAs('invalid_client'));
});
