// Is a page of our own usable with a screen reader and on a small screen, and does it run nothing?

import { strict as assert } from 'node:assert';

import axe from 'axe-core';

/** `what` names the page and its look in messages. */
export async function assertSound(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], what);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `${what}: ${overflow} pixels stand out`);
  // Taking a picture leaves a style on every input.
  const active = page.locator('script, [onclick], [style]:not([type=hidden])');
  assert.equal(await active.count(), 0, `${what}: no script, no inline style`);
}
