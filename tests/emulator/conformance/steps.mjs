// Conformance of signing in on a page of one's own with WorkOS' Node SDK: codes, passwords and the steps that follow.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Browser, clientId, control, emulator, advance, fresh, mailTo, people, redirectUri, refusedWith, totp, verify, workos } from './peer.mjs';

const password = 'correct horse';

/** What the SDK throws for an attempt that needs another step. */
async function stepAfter(attempt, code) {
  const thrown = await attempt.then(() => assert.fail('a step was expected'), (error) => error);
  assert.equal(thrown.rawData?.code ?? thrown.code, code, thrown.message);
  return thrown;
}

async function magicAuth(email) {
  const { code } = await people.createMagicAuth({ email });
  return people.authenticateWithMagicAuth({ clientId, code, email });
}

test('a code by mail signs in once', async () => {
  const email = fresh();
  const { code } = await people.createMagicAuth({ email });
  await assert.rejects(people.authenticateWithMagicAuth({ clientId, code: '000000x', email }), refusedWith('invalid_one_time_code'));
  const answer = await people.authenticateWithMagicAuth({ clientId, code, email });
  assert.equal(answer.user.emailVerified, true);
  assert.equal((await verify(answer.accessToken)).sub, answer.user.id);
  await assert.rejects(people.authenticateWithMagicAuth({ clientId, code, email }), refusedWith('one_time_code_previously_used'));
});

test('a code by mail is too old after ten minutes, and closed after five guesses', async () => {
  const email = fresh();
  const old = await people.createMagicAuth({ email });
  await advance(600);
  await assert.rejects(people.authenticateWithMagicAuth({ clientId, code: old.code, email }), refusedWith('one_time_code_expired'));
  const { code } = await people.createMagicAuth({ email });
  for (let guess = 0; guess < 5; guess += 1) {
    await assert.rejects(people.authenticateWithMagicAuth({ clientId, code: 'x', email }), refusedWith('invalid_one_time_code'));
  }
  await assert.rejects(people.authenticateWithMagicAuth({ clientId, code, email }), refusedWith('one_time_code_too_many_attempts'));
});

test('a password needs a verified address', async () => {
  const { email } = await people.createUser({ email: fresh(), password });
  await assert.rejects(people.authenticateWithPassword({ clientId, email, password: 'wrong' }), refusedWith('invalid_credentials'));
  const { pendingAuthenticationToken, rawData } = await stepAfter(
    people.authenticateWithPassword({ clientId, email, password }),
    'email_verification_required',
  );
  const { code } = await people.getEmailVerification(rawData.email_verification_id);
  assert.equal((await mailTo(email)).code, code);
  const wrong = people.authenticateWithEmailVerification({ clientId, code: 'x', pendingAuthenticationToken });
  await assert.rejects(wrong, refusedWith('invalid_one_time_code'));
  const answer = await people.authenticateWithEmailVerification({ clientId, code, pendingAuthenticationToken });
  assert.equal(answer.user.emailVerified, true);
  const again = people.authenticateWithEmailVerification({ clientId, code, pendingAuthenticationToken });
  await assert.rejects(again, refusedWith('invalid_pending_authentication_token'));
});

test('a second factor is enrolled, and from then on asked for', async () => {
  const { id: userId, email } = await people.createUser({ email: fresh(), password, emailVerified: true });
  await control('POST', `users/${userId}/sign_in`, { mfa_required: true });
  const attempt = () => people.authenticateWithPassword({ clientId, email, password });
  let { pendingAuthenticationToken } = await stepAfter(attempt(), 'mfa_enrollment');
  const mfa = workos.multiFactorAuth;
  const made = await mfa.createUserAuthFactor({ userId, type: 'totp' });
  const { secret } = made.authenticationFactor.totp;
  const answer = async (authenticationChallengeId, code) =>
    people.authenticateWithTotp({ clientId, code, authenticationChallengeId, pendingAuthenticationToken });
  await assert.rejects(answer(made.authenticationChallenge.id, 'x'), refusedWith('invalid_one_time_code'));
  await answer(made.authenticationChallenge.id, await totp(secret));
  const asked = await stepAfter(attempt(), 'mfa_challenge');
  ({ pendingAuthenticationToken } = asked);
  const [{ id: authenticationFactorId }] = asked.rawData.authentication_factors;
  const challenge = await mfa.challengeFactor({ authenticationFactorId });
  assert.equal((await answer(challenge.id, await totp(secret))).user.id, userId);
});

test('one of several organizations is chosen, unless it wants its own sign-in', async () => {
  const asked = await stepAfter(magicAuth('ben@example.com'), 'organization_selection_required');
  const { pendingAuthenticationToken } = asked;
  const [acme, globex] = asked.rawData.organizations;
  const choose = (organizationId) =>
    people.authenticateWithOrganizationSelection({ clientId, organizationId, pendingAuthenticationToken });
  await control('POST', `organizations/${acme.id}/sign_in`, { sso: 'required' });
  await assert.rejects(choose(acme.id), refusedWith('sso_required'));
  await control('POST', `organizations/${acme.id}/sign_in`, { sso: 'required_bare' });
  await assert.rejects(choose(acme.id), (thrown) => thrown.status === 400);
  await control('POST', `organizations/${acme.id}/sign_in`, { sso: 'optional' });
  await assert.rejects(choose('org_none'), refusedWith('organization_not_found'));
  assert.equal((await choose(globex.id)).organizationId, globex.id);
});

test('ways in can be closed', async () => {
  const email = fresh();
  await control('POST', 'sign_in', { sign_up: false });
  await assert.rejects(people.createMagicAuth({ email }), refusedWith('sign_up_not_allowed'));
  await control('POST', 'sign_in', { sign_up: true, magic_auth: false, password: false });
  await assert.rejects(people.createMagicAuth({ email }), refusedWith('authentication_method_not_allowed'));
  await assert.rejects(people.authenticateWithPassword({ clientId, email, password }), refusedWith('email_password_auth_disabled'));
  await assert.rejects(people.createPasswordReset({ email }), refusedWith('email_password_auth_disabled'));
  await control('POST', 'sign_in', { magic_auth: true, password: true });
});

test('straight to a provider, the steps are the application’s', async () => {
  const { id: userId, email } = await people.createUser({ email: fresh(), firstName: 'Straight' });
  const { url, codeVerifier } = await people.getAuthorizationUrlWithPKCE({ provider: 'GitHubOAuth', redirectUri, loginHint: email });
  const { arrived } = await new Browser().visit(url);
  const attempt = people.authenticateWithCode({ code: arrived.searchParams.get('code'), codeVerifier });
  const { rawData } = await stepAfter(attempt, 'email_verification_required');
  assert.equal(rawData.email, email);
  await people.deleteUser(userId);
});

test('an invited stranger joins by code', async () => {
  const globex = (await workos.organizations.listOrganizations()).data.find(({ name }) => name === 'Globex');
  const email = fresh();
  const { token: invitationToken } = await people.sendInvitation({ email, organizationId: globex.id });
  const { code } = await people.createMagicAuth({ email, invitationToken });
  const answer = await people.authenticateWithMagicAuth({ clientId, code, email, invitationToken });
  assert.equal(answer.organizationId, globex.id);
  await assert.rejects(people.createMagicAuth({ email, invitationToken }), refusedWith('invitation_invalid'));
});

test('a terminal waits, is told to slow down, and is let in on the page', async () => {
  const post = async (path, body) => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    return (await fetch(new URL(path, emulator), init)).json();
  };
  const begun = await post('/user_management/authorize/device', { client_id: clientId });
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  const ask = () => post('/user_management/authenticate', { client_id: clientId, grant_type, device_code: begun.device_code });
  assert.equal((await ask()).error, 'authorization_pending');
  assert.equal((await ask()).error, 'slow_down');
  await advance(15);
  const browser = new Browser();
  const page = await browser.visit(new URL(begun.verification_uri_complete));
  assert.match((await browser.press(page, 'ada@example.com')).html, /is signed in/);
  assert.equal((await ask()).user.email, 'ada@example.com');
  const other = await post('/user_management/authorize/device', { client_id: clientId });
  await control('POST', `devices/${other.user_code}`, { deny: true });
  begun.device_code = other.device_code;
  assert.equal((await ask()).error, 'access_denied');
  await advance(300);
  assert.equal((await ask()).error, 'expired_token');
});
