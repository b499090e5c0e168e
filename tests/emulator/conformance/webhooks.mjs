// Conformance of webhooks with WorkOS' Node SDK: it manages the endpoint and judges the signatures.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { Browser, control, fresh, people, signIn, verify, workos } from './peer.mjs';

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
  const endpoint = await workos.webhooks.createWebhookEndpoint({ endpointUrl, events: ['session.revoked', 'invitation.created'] });
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
    await control('POST', 'webhooks/deliver', { event_id: event.id, ...order });
    const attempt = workos.webhooks.constructEvent({ ...letters.at(-1), secret });
    await (believed ? attempt : assert.rejects(attempt, { name: 'SignatureVerificationException' }));
  }
  const invited = once(server, 'letter');
  const invitation = await people.sendInvitation({ email: fresh() });
  await invited;
  const told = await workos.webhooks.constructEvent({ ...letters.at(-1), secret });
  assert.deepEqual([told.event, told.data.id], ['invitation.created', invitation.id]);
  const disabled = await workos.webhooks.updateWebhookEndpoint({ id: endpoint.id, status: 'disabled' });
  assert.equal(disabled.status, 'disabled');
  await workos.webhooks.deleteWebhookEndpoint({ id: endpoint.id });
  assert.equal((await workos.webhooks.listWebhookEndpoints()).data.length, 0);
  const refused = (status) => (thrown) => thrown.status === status;
  await assert.rejects(workos.webhooks.deleteWebhookEndpoint({ id: endpoint.id }), refused(404));
  await assert.rejects(workos.webhooks.updateWebhookEndpoint({ id: endpoint.id, status: 'enabled' }), refused(404));
  const nameless = workos.webhooks.createWebhookEndpoint({ endpointUrl, events: ['nothing'] });
  await assert.rejects(nameless, refused(422));
  await assert.rejects(workos.events.listEvents({ events: ['user.created'], rangeStart: 'today' }), refused(422));
  const twice = () => workos.webhooks.createWebhookEndpoint({ endpointUrl, events: ['user.deleted'] });
  const { id } = await twice();
  await assert.rejects(twice(), refused(409));
  await workos.webhooks.deleteWebhookEndpoint({ id });
  const unheardOf = workos.webhooks.createWebhookEndpoint({ endpointUrl: 'ftp://127.0.0.1/', events: ['user.created'] });
  await assert.rejects(unheardOf, refused(422));
  server.close();
});
