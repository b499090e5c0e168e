// Conformance of the standalone SSO API and of Magic Link with WorkOS' Node SDK.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { WorkOS } from '@workos-inc/node';

import { Browser, clientId, fresh, mailTo, options, redirectUri, refusedAs, workos } from './peer.mjs';

const connection = 'conn_01DEMOACME0000000000000000';

test('a connection gives a profile and a token that reads it', async () => {
  const browser = new Browser();
  const page = await browser.visit(workos.sso.getAuthorizationUrl({ clientId, redirectUri, connection, state: 'a b' }));
  const { arrived } = await browser.press(page, 'ada@example.com');
  assert.equal(arrived.searchParams.get('state'), 'a b');
  const code = arrived.searchParams.get('code');
  const { accessToken, profile } = await workos.sso.getProfileAndToken({ clientId, code });
  assert.deepEqual([profile.email, profile.connectionId, profile.role.slug], ['ada@example.com', connection, 'admin']);
  assert.equal((await workos.sso.getProfile({ accessToken })).id, profile.id);
  await assert.rejects(workos.sso.getProfileAndToken({ clientId, code }), refusedAs('invalid_grant'));
  await assert.rejects(workos.sso.getProfile({ accessToken: 'none' }), (thrown) => thrown.status === 401);
  const stranger = new WorkOS('sk_wrong', options);
  await assert.rejects(stranger.sso.getProfileAndToken({ clientId, code }), refusedAs('invalid_client'));
});

test('who turns back, and who asks for what does not exist, is told at the callback', async () => {
  const browser = new Browser();
  const visit = (selector) => browser.visit(workos.sso.getAuthorizationUrl({ clientId, redirectUri, ...selector }));
  const page = await visit({ provider: 'GoogleOAuth' });
  const { arrived } = await browser.press(page, 'Cancel');
  assert.equal(arrived.searchParams.get('error'), 'access_denied');
  assert.equal((await visit({ connection: 'conn_none' })).arrived.searchParams.get('error'), 'connection_invalid');
});

test('a magic link is sent, works once, and ends in a profile', async () => {
  const email = fresh();
  const made = await workos.passwordless.createSession({ type: 'MagicLink', email, redirectURI: redirectUri, state: 's' });
  assert.deepEqual(await workos.passwordless.sendSession(made.id), { success: true });
  assert.equal((await mailTo(email)).link, made.link);
  const { arrived } = await new Browser().visit(new URL(made.link));
  assert.equal(arrived.searchParams.get('state'), 's');
  const { profile } = await workos.sso.getProfileAndToken({ clientId, code: arrived.searchParams.get('code') });
  assert.deepEqual([profile.email, profile.connectionType, profile.organizationId], [email, 'MagicLink', null]);
  assert.equal((await new Browser().visit(new URL(made.link))).status, 400);
  const short = workos.passwordless.createSession({ type: 'MagicLink', email, redirectURI: redirectUri, expiresIn: 60 });
  await assert.rejects(short, (thrown) => thrown.status === 422);
});
