// Conformance of sessions and organizations with WorkOS' Node SDK: lists, and the change from one organization to another.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Browser, control, people, redirectUri, signIn, verify, workos } from './peer.mjs';

/** Signs Ben in, who has to choose his organization. */
async function signInTo(browser, organization) {
  const { url, codeVerifier } = await people.getAuthorizationUrlWithPKCE({ provider: 'authkit', redirectUri });
  const choice = await browser.press(await browser.visit(url), 'Ben');
  const { arrived } = await browser.press(choice, organization);
  return people.authenticateWithCode({ code: arrived.searchParams.get('code'), codeVerifier });
}

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

  await control('POST', 'organizations/Globex/sign_in', { sso: 'required' });
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
  await control('POST', 'organizations/Globex/sign_in', { sso: 'optional' });
});
