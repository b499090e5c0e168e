// Conformance of the management endpoints with WorkOS' Node SDK: people, memberships, invitations, factors, keys.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clientId, control, fresh, mailTo, people, refusedWith, totp, workos } from './peer.mjs';

const organizationNamed = async (name) =>
  (await workos.organizations.listOrganizations()).data.find((organization) => organization.name === name);
const missing = (thrown) => thrown.status === 404;
const invalid = (thrown) => thrown.status === 422;

test('a person is created, found, changed and deleted', async () => {
  const email = fresh();
  const externalId = `crm-${email}`;
  const made = await people.createUser({ email, firstName: 'Eve', externalId, metadata: { tier: 'gold' }, password: 'correct horse' });
  assert.equal((await people.getUserByExternalId(externalId)).id, made.id);
  const changed = await people.updateUser({ userId: made.id, lastName: 'Stone', metadata: { team: 'a' }, locale: 'en-GB' });
  assert.deepEqual(changed.metadata, { tier: 'gold', team: 'a' });
  assert.equal(changed.lastName, 'Stone');
  assert.deepEqual(await people.getUserIdentities(made.id), []);
  await control('POST', `users/${made.id}`, { authentication_method: 'GoogleOAuth' });
  assert.equal((await people.getUserIdentities(made.id))[0].provider, 'GoogleOAuth');
  await assert.rejects(people.createUser({ email }), refusedWith('user_creation_error'));
  await assert.rejects(people.createUser({ email: fresh(), password: 'x' }), refusedWith('password_strength_error'));
  await assert.rejects(people.createUser({ email: 'nobody' }), invalid);
  await assert.rejects(people.updateUser({ userId: made.id, email: 'ada@example.com' }), refusedWith('email_not_available'));
  await assert.rejects(people.getUserByExternalId('crm-none'), missing);
  await people.deleteUser(made.id);
  await assert.rejects(people.getUser(made.id), missing);
  await assert.rejects(people.deleteUser(made.id), missing);
});

test('an address is verified', async () => {
  const { id: userId, email } = await people.createUser({ email: fresh() });
  assert.equal((await people.sendVerificationEmail({ userId })).user.emailVerified, false);
  await assert.rejects(people.verifyEmail({ userId, code: '000000x' }), refusedWith('email_verification_code_incorrect'));
  const { code } = await mailTo(email);
  assert.equal((await people.verifyEmail({ userId, code })).user.emailVerified, true);
  await assert.rejects(people.verifyEmail({ userId, code }), refusedWith('email_previously_verified'));
  await assert.rejects(people.sendVerificationEmail({ userId }), refusedWith('email_already_verified'));
});

test('a password is reset', async () => {
  const { email } = await people.createUser({ email: fresh() });
  const made = await people.createPasswordReset({ email });
  assert.deepEqual(await people.getPasswordReset(made.id), made);
  const weak = people.resetPassword({ token: made.passwordResetToken, newPassword: 'short' });
  await assert.rejects(weak, refusedWith('password_reset_error'));
  const { user } = await people.resetPassword({ token: made.passwordResetToken, newPassword: 'a long enough one' });
  assert.equal(user.emailVerified, true);
  const answer = await people.authenticateWithPassword({ clientId, email, password: 'a long enough one' });
  assert.equal(answer.authenticationMethod, 'Password');
  await assert.rejects(people.createPasswordReset({ email: fresh() }), missing);
  await assert.rejects(people.getPasswordReset('password_reset_none'), missing);
});

test('a code by mail is made and read', async () => {
  const email = fresh();
  const made = await people.createMagicAuth({ email });
  assert.deepEqual(await people.getMagicAuth(made.id), made);
  assert.equal((await mailTo(email)).code, made.code);
  await assert.rejects(people.getMagicAuth('magic_auth_none'), missing);
  await people.createMagicAuth({ email });
  await people.createMagicAuth({ email });
  await assert.rejects(people.createMagicAuth({ email }), (thrown) => thrown.status === 429);
});

test('a membership is made, changed, put to sleep, woken and removed', async () => {
  const acme = await organizationNamed('Acme');
  const { id: userId } = await people.createUser({ email: fresh() });
  const made = await people.createOrganizationMembership({ userId, organizationId: acme.id, roleSlug: 'admin' });
  assert.equal(made.organizationName, 'Acme');
  assert.equal((await people.getOrganizationMembership(made.id)).role.slug, 'admin');
  const changed = await people.updateOrganizationMembership(made.id, { roleSlug: 'viewer' });
  assert.equal(changed.role.slug, 'viewer');
  assert.equal((await people.deactivateOrganizationMembership(made.id)).status, 'inactive');
  const list = (statuses) => people.listOrganizationMemberships({ userId, statuses });
  assert.equal((await list()).data.length, 0);
  assert.equal((await list(['inactive', 'pending'])).data.length, 1);
  assert.equal((await people.reactivateOrganizationMembership(made.id)).status, 'active');
  await people.deactivateOrganizationMembership(made.id);
  const again = await people.createOrganizationMembership({ userId, organizationId: acme.id, roleSlug: 'admin' });
  assert.deepEqual([again.id, again.status, again.role.slug], [made.id, 'active', 'admin']);
  await people.deleteOrganizationMembership(made.id);
  await assert.rejects(people.getOrganizationMembership(made.id), missing);
  await assert.rejects(people.listOrganizationMemberships({}), refusedWith('missing_user_id_or_organization_id'));
});

test('a person is invited and accepts, or not', async () => {
  const acme = await organizationNamed('Acme');
  const [ada] = (await people.listUsers({ email: 'ada@example.com' })).data;
  const { email } = await people.createUser({ email: fresh() });
  const invitation = { email, organizationId: acme.id, roleSlug: 'member', inviterUserId: ada.id, expiresInDays: 3 };
  const made = await people.sendInvitation(invitation);
  assert.equal(made.state, 'pending');
  assert.equal((await mailTo(email)).link, made.acceptInvitationUrl);
  assert.equal((await people.findInvitationByToken(made.token)).id, made.id);
  assert.equal((await people.getInvitation(made.id)).id, made.id);
  assert.equal((await people.listInvitations({ email })).data.length, 1);
  await assert.rejects(people.sendInvitation(invitation), refusedWith('email_already_invited_to_organization'));
  const [waiting] = (await people.listOrganizationMemberships({ organizationId: acme.id, statuses: ['pending'] })).data;
  const pending = (verb) => refusedWith(`cannot_${verb}_pending_organization_membership`);
  await assert.rejects(people.deactivateOrganizationMembership(waiting.id), pending('deactivate'));
  await assert.rejects(people.reactivateOrganizationMembership(waiting.id), pending('reactivate'));
  await people.resendInvitation(made.id);
  const accepted = await people.acceptInvitation(made.id);
  assert.equal(accepted.state, 'accepted');
  await assert.rejects(people.acceptInvitation(made.id), refusedWith('invite_has_accepted_user_id'));
  await assert.rejects(people.resendInvitation(made.id), refusedWith('invite_accepted'));
  await assert.rejects(people.revokeInvitation(made.id), refusedWith('invite_not_pending'));
  const other = await people.sendInvitation({ email: fresh() });
  assert.equal((await people.revokeInvitation(other.id)).state, 'revoked');
  await assert.rejects(people.acceptInvitation(other.id), refusedWith('invite_not_pending'));
  await assert.rejects(people.sendInvitation({ email: fresh(), expiresInDays: 31 }), refusedWith('expires_in_days_too_long'));
  await assert.rejects(people.sendInvitation({ email }), refusedWith('user_already_exists'));
  await assert.rejects(people.getInvitation('invitation_none'), missing);
  await assert.rejects(people.findInvitationByToken('none'), missing);
});

test('an authenticator is enrolled, asked and removed', async () => {
  const mfa = workos.multiFactorAuth;
  const { id: userId } = await people.createUser({ email: fresh() });
  const made = await mfa.createUserAuthFactor({ userId, type: 'totp', totpIssuer: 'Demo', totpUser: 'eve' });
  assert.match(made.authenticationFactor.totp.qrCode, /^data:image\/png;base64,/);
  assert.match(made.authenticationFactor.totp.uri, /^otpauth:\/\/totp\/Demo:eve\?/);
  const authenticationFactorId = made.authenticationFactor.id;
  assert.equal((await mfa.listUserAuthFactors({ userId })).data[0].id, authenticationFactorId);
  assert.equal((await mfa.getFactor(authenticationFactorId)).type, 'totp');
  const challenge = await mfa.challengeFactor({ authenticationFactorId });
  const answer = async (code) => mfa.verifyChallenge({ authenticationChallengeId: challenge.id, code });
  assert.equal((await answer('000000x')).valid, false);
  const code = await totp(made.authenticationFactor.totp.secret);
  assert.equal((await answer(code)).valid, true);
  await assert.rejects(answer(code), invalid);
  await mfa.deleteFactor(authenticationFactorId);
  await assert.rejects(mfa.getFactor(authenticationFactorId), missing);
});

test('factors without a person: text message, authenticator, code of one’s own', async () => {
  const mfa = workos.multiFactorAuth;
  const sms = await mfa.enrollFactor({ type: 'sms', phoneNumber: '+15005550006' });
  const challenge = await mfa.challengeFactor({ authenticationFactorId: sms.id });
  const { code } = await mailTo('+15005550006');
  assert.equal((await mfa.verifyChallenge({ authenticationChallengeId: challenge.id, code })).valid, true);
  const app = await mfa.enrollFactor({ type: 'totp', issuer: 'Demo', user: 'eve' });
  const asked = await mfa.challengeFactor({ authenticationFactorId: app.id });
  for (let guess = 0; guess < 5; guess += 1) {
    assert.equal((await mfa.verifyChallenge({ authenticationChallengeId: asked.id, code: 'x' })).valid, false);
  }
  const closed = mfa.verifyChallenge({ authenticationChallengeId: asked.id, code: 'x' });
  await assert.rejects(closed, refusedWith('one_time_code_too_many_attempts'));
  const own = await mfa.enrollFactor({ type: 'generic_otp' });
  const shown = await mfa.challengeFactor({ authenticationFactorId: own.id });
  assert.equal((await mfa.verifyChallenge({ authenticationChallengeId: shown.id, code: shown.code })).valid, true);
  await assert.rejects(mfa.enrollFactor({ type: 'sms', phoneNumber: '12' }), invalid);
});

test('customers’ API keys are made, validated and revoked', async () => {
  const keys = workos.apiKeys;
  const { id: organizationId } = await organizationNamed('Acme');
  const seeded = await keys.createValidation({ value: 'sk_demo_acme' });
  assert.deepEqual(seeded.apiKey.owner, { type: 'organization', id: organizationId });
  assert.equal((await keys.createValidation({ value: 'sk_demo_ada' })).apiKey.owner.type, 'user');
  assert.equal((await keys.createValidation({ value: 'sk_none' })).apiKey, null);
  const made = await keys.createOrganizationApiKey({ organizationId, name: 'Import', permissions: ['reports:write'] });
  assert.deepEqual((await keys.createValidation({ value: made.value })).apiKey.permissions, ['reports:write']);
  const { data } = await keys.listOrganizationApiKeys({ organizationId });
  assert.ok(data.some((key) => key.id === made.id && key.lastUsedAt));
  await keys.deleteApiKey(made.id);
  assert.equal((await keys.createValidation({ value: made.value })).apiKey, null);
  await assert.rejects(keys.deleteApiKey(made.id), missing);
  const [ada] = (await people.listUsers({ email: 'ada@example.com' })).data;
  const own = await people.createUserApiKey(ada.id, { name: 'Mine', organizationId });
  assert.ok((await people.listUserApiKeys(ada.id)).data.some((key) => key.id === own.id));
  await keys.deleteApiKey(own.id);
});
