// What the stories share: the SDK, a browser that follows redirects and sends forms, and the emulator's clock.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { WorkOS } from '@workos-inc/node';
import { createRemoteJWKSet, jwtVerify } from 'jose';

export const emulator = new URL(process.env.EMULATOR_URL);
export const clientId = 'client_01DEMO00000000000000000000';
export const apiKey = 'sk_test_demo';
export const redirectUri = 'http://localhost:8080/auth/callback';
export const signedOut = 'http://localhost:8080/auth/signed-out';
export const cookiePassword = 'a password of at least thirty-two characters';

export const options = { clientId, apiHostname: emulator.hostname, port: Number(emulator.port), https: false, maxRetries: 0 };
export const workos = new WorkOS(apiKey, options);
export const people = workos.userManagement;

/** A browser: it keeps cookies, follows redirects to the emulator and stops at the application. */
export class Browser {
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
export async function signIn(browser, label, session) {
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

/** Asks something of the emulator itself. */
export async function control(method, path, body) {
  const response = await fetch(new URL(`/_control/v1/${path}`, emulator), { method, body: JSON.stringify(body) });
  assert.equal(response.status, 200, path);
  return response.json();
}

export const advance = (seconds) => control('POST', 'clock', { advance_ms: seconds * 1000 });

/** The newest mail to an address. */
export async function mailTo(address) {
  const { mails } = await control('GET', `inbox?to=${encodeURIComponent(address)}`);
  return mails.at(-1);
}

/** What an authenticator application shows at this moment. */
export const totp = async (secret) => (await control('GET', `totp?secret=${secret}`)).code;

export const fresh = () => `${randomUUID()}@example.com`;

export async function verify(accessToken) {
  const keys = createRemoteJWKSet(new URL(people.getJwksUrl(clientId)));
  const issuer = `${emulator.origin}/user_management/${clientId}`;
  const { payload } = await jwtVerify(accessToken, keys, { issuer, algorithms: ['RS256'] });
  return payload;
}

export const refusedAs = (error) => (thrown) => thrown.status === 400 && thrown.error === error;

/** A refusal by `code`, in whichever member the SDK puts it. */
export const refusedWith = (code) => (thrown) =>
  [thrown.code, thrown.error, thrown.rawData?.code, thrown.rawData?.error].includes(code) || assert.fail(`${thrown.status} ${thrown.message}`);
