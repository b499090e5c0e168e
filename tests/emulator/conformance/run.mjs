// Conformance: WorkOS' own Node SDK, which was not written for this emulator, uses it as it would use
// WorkOS. The sign-in itself is done as a browser does it: by following redirects and sending the form.
//
// How to run: `./run` beside this file does everything. By hand: build the binary
// (`cargo build -p workos-emulator`), start it on a free port with time standing still
// (`workos-emulator --listen 127.0.0.1:0 --virtual-time`; it prints its address), then
// `npm ci && EMULATOR_URL=<address> node --test run.mjs`.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { WorkOS } from '@workos-inc/node';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const emulator = new URL(process.env.EMULATOR_URL);
const clientId = 'client_01DEMO00000000000000000000';
const apiKey = 'sk_test_demo';
const redirectUri = 'http://localhost:8080/auth/callback';
const signedOut = 'http://localhost:8080/auth/signed-out';
const cookiePassword = 'a password of at least thirty-two characters';

const options = { clientId, apiHostname: emulator.hostname, port: Number(emulator.port), https: false, maxRetries: 0 };
const workos = new WorkOS(apiKey, options);
const people = workos.userManagement;

/** A browser: it keeps cookies, follows redirects to the emulator and stops at the application. */
class Browser {
  cookies = new Map();

  /** Goes to a URL; gives the page, or the URL of the application it was sent to. */
  async visit(url, form) {
    const init = { redirect: 'manual', headers: { cookie: this.cookieHeader() } };
    const response = await fetch(url, form ? { ...init, method: 'POST', body: new URLSearchParams(form) } : init);
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      this.cookies.set(name, value);
    }
    if (response.status !== 302 && response.status !== 303) {
      return { status: response.status, url, html: await response.text() };
    }
    const next = new URL(response.headers.get('location'), url);
    return next.origin === emulator.origin ? this.visit(next) : { arrived: next };
  }

  /** Presses the button whose text has `label`, with the hidden fields of its form. */
  async press(page, label) {
    for (const [, attributes, inside] of page.html.matchAll(/<form([^>]*)>(.*?)<\/form>/gs)) {
      const buttons = [...inside.matchAll(/<button name="([^"]*)" value="([^"]*)">(.*?)<\/button>/gs)];
      const button = buttons.find(([, , , text]) => text.includes(label));
      if (button) {
        const form = new Map([[button[1], button[2]]]);
        for (const [, name, value] of inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)) {
          form.set(name, value);
        }
        const action = /action="([^"]*)"/.exec(attributes)[1];
        return this.visit(new URL(action, page.url), [...form]);
      }
    }
    throw new Error(`no button ${label}: ${page.html}`);
  }

  cookieHeader() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}

/** Signs a person in through the hosted page; gives what the SDK makes of the code. */
async function signIn(browser, label, session) {
  const { url, state, codeVerifier } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  let { arrived, ...page } = await browser.visit(url);
  if (!arrived) {
    ({ arrived } = await browser.press(page, label));
  }
  assert.equal(arrived.searchParams.get('state'), state);
  return people.authenticateWithCode({
    code: arrived.searchParams.get('code'),
    codeVerifier,
    ipAddress: '203.0.113.7',
    userAgent: 'Conformance/1',
    session,
  });
}

/** Signs Ben in, who has to choose his organization. */
async function signInTo(browser, organization) {
  const { url, codeVerifier } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  const choice = await browser.press(await browser.visit(url), 'Ben');
  const { arrived } = await browser.press(choice, organization);
  return people.authenticateWithCode({ code: arrived.searchParams.get('code'), codeVerifier });
}

async function control(path, fields) {
  const init = { method: 'POST', body: JSON.stringify(fields) };
  const response = await fetch(new URL(`/_control/v1/${path}`, emulator), init);
  assert.equal(response.status, 200, path);
}

const advance = (seconds) => control('clock', { advance_ms: seconds * 1000 });

async function verify(accessToken) {
  const keys = createRemoteJWKSet(new URL(people.getJwksUrl(clientId)));
  const issuer = `${emulator.origin}/user_management/${clientId}`;
  const { payload } = await jwtVerify(accessToken, keys, { issuer, algorithms: ['RS256'] });
  return payload;
}

const refusedAs = (error) => (thrown) => thrown.status === 400 && thrown.error === error;

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

test('sessions are walked page by page', async () => {
  const first = await signIn(new Browser(), 'Cleo');
  await signIn(new Browser(), 'Cleo');
  await signIn(new Browser(), 'Cleo');
  const page = await people.listSessions(first.user.id, { limit: 2 });
  assert.equal(page.data.length, 2);
  assert.ok(page.listMetadata.after);
  const all = await (await people.listSessions(first.user.id)).autoPagination();
  const statuses = new Set(all.map((session) => session.status));
  assert.ok(all.length >= 3 && statuses.has('active'), [...statuses].join());
});

test('memberships are listed with the name of their organization', async () => {
  const [ada] = (await people.listUsers({ email: 'ada@example.com' })).data;
  const list = await people.listOrganizationMemberships({ userId: ada.id, statuses: ['active', 'pending'] });
  assert.deepEqual(list.data.map((membership) => membership.organizationName), ['Acme']);
  assert.equal(list.data[0].role.slug, 'admin');
});

test('a person changes the organization, and steps up where it asks for more', async () => {
  const browser = new Browser();
  const ben = await signInTo(browser, 'Acme');
  const organizations = await workos.organizations.listOrganizations();
  const globex = organizations.data.find((organization) => organization.name === 'Globex');
  const into = (tokens) =>
    people.authenticateWithRefreshToken({ refreshToken: tokens.refreshToken, organizationId: globex.id });
  assert.equal((await verify((await into(ben)).accessToken)).org_id, globex.id);

  await control('organizations/Globex', { sso_required: true });
  const acme = await signInTo(new Browser(), 'Acme');
  const asked = { name: 'AuthenticationException', status: 400, code: 'sso_required' };
  await assert.rejects(into(acme), (thrown) => {
    assert.deepEqual(thrown.rawData.connection_ids, ['conn_01DEMOGLOBEX00000000000000']);
    return Object.entries(asked).every(([name, value]) => thrown[name] === value);
  });
  const { url, codeVerifier } = await people.getAuthorizationUrlWithPKCE({
    provider: 'authkit',
    organizationId: globex.id,
    loginHint: 'ben@example.com',
    redirectUri,
  });
  const { arrived } = await new Browser().visit(url);
  const stepped = await people.authenticateWithCode({ code: arrived.searchParams.get('code'), codeVerifier });
  assert.equal(stepped.authenticationMethod, 'SSO');
  assert.equal((await verify((await into(stepped)).accessToken)).org_id, globex.id);
  await control('organizations/Globex', { sso_required: false });
});

test('a webhook arrives, and the SDK believes its signature and no other', async () => {
  const letters = [];
  const server = createServer(async (request, response) => {
    let payload = '';
    for await (const part of request) payload += part;
    letters.push({ payload, sigHeader: request.headers['workos-signature'] });
    response.writeHead(200).end();
    server.emit('letter');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const endpointUrl = `http://127.0.0.1:${server.address().port}/webhook`;
  const endpoint = await workos.webhooks.createWebhookEndpoint({ endpointUrl, events: ['session.revoked'] });
  assert.match(endpoint.secret, /^whsec_/);

  const { user, accessToken } = await signIn(new Browser(), 'Ada');
  const { sid } = await verify(accessToken);
  const arrival = once(server, 'letter');
  await people.revokeSession({ sessionId: sid });
  await arrival;
  const { secret } = endpoint;
  const event = await workos.webhooks.constructEvent({ ...letters[0], secret });
  assert.equal(event.event, 'session.revoked');
  assert.equal(event.data.id, sid);
  assert.equal(event.data.userId, user.id);
  const listed = await workos.events.listEvents({ events: ['session.revoked', 'user.deleted'], order: 'desc' });
  assert.deepEqual(listed.data[0].data, event.data);

  for (const [order, believed] of [
    [{}, true],
    [{ signature: 'wrong' }, false],
    [{ signature: 'tampered' }, false],
    [{ timestamp_ms: Date.now() - 3_600_000 }, false],
  ]) {
    await control('webhooks/deliver', { event_id: event.id, ...order });
    const attempt = workos.webhooks.constructEvent({ ...letters.at(-1), secret });
    await (believed ? attempt : assert.rejects(attempt, { name: 'SignatureVerificationException' }));
  }
  const disabled = await workos.webhooks.updateWebhookEndpoint({ id: endpoint.id, status: 'disabled' });
  assert.equal(disabled.status, 'disabled');
  await workos.webhooks.deleteWebhookEndpoint({ id: endpoint.id });
  assert.equal((await workos.webhooks.listWebhookEndpoints()).data.length, 0);
  server.close();
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
