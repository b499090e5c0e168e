// Conformance of the events: run last, when everything has happened that the other stories make happen.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { workos } from './peer.mjs';

const NAMES = [
  ...['created', 'updated', 'deleted'].map((what) => `user.${what}`),
  ...['created', 'updated', 'deleted'].map((what) => `organization_membership.${what}`),
  ...['created', 'accepted', 'resent', 'revoked'].map((what) => `invitation.${what}`),
  ...['session.created', 'session.revoked', 'magic_auth.created', 'email_verification.created'],
  ...['password_reset.created', 'password_reset.succeeded', 'api_key.created', 'api_key.revoked'],
  ...['magic_auth', 'password', 'mfa', 'email_verification'].flatMap((way) =>
    ['succeeded', 'failed'].map((how) => `authentication.${way}_${how}`),
  ),
];

for (const name of NAMES) {
  test(`${name} was noted`, async () => {
    const { data } = await workos.events.listEvents({ events: [name], limit: 100 });
    assert.ok(data.length > 0);
    assert.ok(data.every((event) => event.event === name));
  });
}
