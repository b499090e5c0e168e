// Our own sign-in page for the stories of a file: a browser and a demo that show it, and what people do there. What
// is on the page is found by its part in the forms, so that a story goes the same way in every language.

import { strict as assert } from 'node:assert';

import { launch, visitor } from './browser.mjs';
import { Demo, configuration } from './demo.mjs';

/** The parts of the pages. */
export const parts = {
  address: (page) => page.locator('input[name=email]:not([type=hidden])'),
  rememberMe: (page) => page.getByRole('checkbox'),
  code: (page) => page.locator('input[name=code]'),
  askForCode: (page) => page.locator('button[formaction$="/magic-auth"]'),
  askForLink: (page) => page.locator('button[formaction$="/magic-link"]'),
  authKit: (page) => page.locator('button[formaction$="/sign-in"]'),
  goOn: (page) => page.locator('form:has(input[name=code]) button'),
  /** A sign-in's code is asked for anew where the first one was; one that proves an address, where it is entered. */
  sendAgain: (page) => page.locator('.deeds form[action*="/magic-auth"] button'),
  startOver: (page) => page.locator('a[href*="/auth/sign-in"]'),
  organization: (page, name) => page.locator('button[name=organization_id]', { hasText: name }),
  picture: (page) => page.locator('svg.qr'),
  key: (page) => page.locator('.key'),
  alert: (page) => page.getByRole('alert'),
  press: (page) => page.locator('form[action$="/magic-link/open"] button'),
};

/** A browser and a demo with our own page. */
export class OwnPage {
  #contexts = [];
  #complaints = [];

  /** `signIn` is the text of `[sign_in]` and what may follow it. */
  static async open(signIn) {
    const own = new OwnPage();
    const config = await configuration({ more: `\n[sign_in]\n${signIn}` });
    [own.browser, own.demo] = await Promise.all([launch(), Demo.start({ clock: 'frozen', config })]);
    return own;
  }

  async close() {
    await this.browser?.close();
    await this.demo?.stop();
  }

  /** Somebody new at the browser. Whatever a page complains of there is kept for `leave`. */
  async visitor(options = {}) {
    const context = await visitor(this.browser, options);
    this.#contexts.push(context);
    context.on('weberror', (error) => this.#complaints.push(`${error.error()}`));
    context.on('console', (message) => {
      const text = message.text();
      // The status of a refused form is no complaint of the page's.
      if (message.type() === 'error' && !/^Failed to load resource/.test(text)) this.#complaints.push(text);
    });
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`${event.effectiveDirective} forbids ${event.blockedURI || event.sample}`);
      });
    });
    return context;
  }

  /** The page of somebody new. */
  async page(options) {
    return (await this.visitor(options)).newPage();
  }

  /** After a story: everybody leaves, WorkOS is well again, and no page has broken its own policy. */
  async leave() {
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
    await this.demo.heal();
    assert.deepEqual(this.#complaints.splice(0), [], 'complaints of the browser');
  }

  /** Opens the page on the way to `path`. A minute passes first, so that no story is held up by another. */
  async arrive(page, path = '/reports?year=2026') {
    await this.demo.advance({ minutes: 1 });
    await page.goto(`${this.demo.url}${path}`);
    await parts.address(page).waitFor();
  }

  /** Types an address and has a code sent. */
  async askForCode(page, email, path) {
    await this.arrive(page, path);
    await parts.address(page).fill(email);
    await parts.askForCode(page).click();
    await parts.code(page).waitFor();
  }

  /** Asks for a code and enters it. */
  async comeIn(page, email, path) {
    await this.askForCode(page, email, path);
    await enter(page, await this.demo.mailed(email));
  }
}

/** Enters a code and waits for the answer. */
export async function enter(page, code) {
  await parts.code(page).fill(code);
  await answered(page, () => parts.goOn(page).click());
}

/** Does something that sends a form, and gives the answer of the last page that it leads to, once it is there. */
export async function answered(page, deed) {
  const last = (one) => one.request().isNavigationRequest() && (one.status() < 300 || one.status() >= 400);
  const [response] = await Promise.all([
    page.waitForResponse(last),
    page.waitForEvent('framenavigated', (frame) => frame === page.mainFrame()),
    deed(),
  ]);
  await page.waitForLoadState();
  return response;
}

/** A code that is not this one. */
export const other = (code) => (code === '000000' ? '000001' : '000000');
