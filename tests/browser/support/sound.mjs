// Is a page of our own usable with a screen reader, with the keyboard alone, on a small screen, with wider text, and
// does it run nothing? WCAG 2.2 as far as a program can tell.

import { strict as assert } from 'node:assert';

import axe from 'axe-core';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
/** What people press, type into or follow. */
const CONTROLS = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
/** Sides of the smallest target (2.5.8), and the outline that shows the focus (2.4.7, 2.4.13). */
const SMALLEST_TARGET = 24;
const THINNEST_OUTLINE = 2;
/** Text spacing that a page must bear (1.4.12). */
const SPACING = `* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }
  p { margin-bottom: 2em !important }`;

/** All of axe's rules, no scrolling to the side, nothing active. `what` names the page and its look in messages. */
export async function assertSound(page, what) {
  await assertRules(page, { runOnly: RULES, rules: { 'target-size': { enabled: true } } }, what);
  await assertFits(page, what);
  // Taking a picture leaves a style on every input.
  const active = page.locator('script, [onclick], [style]:not([type=hidden])');
  assert.equal(await active.count(), 0, `${what}: no script, no inline style`);
}

/** The colours alone. */
export async function assertContrast(page, what) {
  await assertRules(page, { runOnly: { type: 'rule', values: ['color-contrast'] } }, what);
}

/** Nobody has to scroll to the side (1.4.10). */
export async function assertFits(page, what) {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `${what}: ${overflow} pixels stand out`);
}

/** With wider text nothing is cut off or runs over something else (1.4.12). */
export async function assertBearsSpacing(page, what) {
  const cut = await page.evaluate((spacing) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(spacing);
    const before = [...document.adoptedStyleSheets];
    document.adoptedStyleSheets = [...before, sheet];
    const cut = [];
    for (const one of document.querySelectorAll('main *')) {
      // A single line to type into scrolls by itself.
      if (one.matches('input, svg, svg *')) continue;
      const tooWide = one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline';
      if (tooWide) cut.push(one.outerHTML.slice(0, 120));
    }
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 0) cut.push(`the page, by ${wide}`);
    document.adoptedStyleSheets = before;
    return cut;
  }, SPACING);
  assert.deepEqual(cut, [], `${what}, with wider text`);
}

/** Whatever can be pressed is large enough (2.5.8); links within a sentence are as high as it is. */
export async function assertTargets(page, what) {
  const small = await page.evaluate(
    ([controls, least]) => {
      const of = (one) => {
        const box = one.getBoundingClientRect();
        return { html: one.outerHTML.slice(0, 80), width: Math.round(box.width), height: Math.round(box.height) };
      };
      const size = (one) => one.width >= least && one.height >= least;
      const inSentence = (one) => one.matches('p a') && one.closest('p').textContent.trim() !== one.textContent.trim();
      // The label of a box belongs to its target.
      const target = (one) => (one.type === 'checkbox' ? one.parentElement : one);
      const all = [...document.querySelectorAll(controls)].filter((one) => !inSentence(one));
      return all.map((one) => of(target(one))).filter((one) => !size(one));
    },
    [CONTROLS, SMALLEST_TARGET],
  );
  assert.deepEqual(small, [], `${what}: targets`);
}

/** The tabulator reaches every control, in the order of the page, and each shows that it has the focus. */
export async function assertKeyboard(page, what) {
  const count = await page.locator(CONTROLS).count();
  const order = [];
  for (let press = 0; press <= count; press += 1) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(focused, CONTROLS);
    if (!focus) continue;
    const { number, html, style, width, covered } = focus;
    assert.ok(style !== 'none' && width >= THINNEST_OUTLINE, `${what}: the focus does not show on ${html}`);
    assert.ok(!covered, `${what}: something covers ${html}`);
    if (!order.includes(number)) order.push(number);
  }
  const first = order.indexOf(0);
  const turned = [...order.slice(first), ...order.slice(0, first)];
  assert.deepEqual(turned, [...Array(count).keys()], `${what}: the order of the focus`);
}

/** What has the focus: runs in the page. */
function focused(controls) {
  const one = document.activeElement;
  const number = [...document.querySelectorAll(controls)].indexOf(one);
  if (number < 0) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  const covered = !(top && (one.contains(top) || top.contains(one)));
  return { number, html: one.outerHTML.slice(0, 80), style: outlineStyle, width: parseFloat(outlineWidth), covered };
}

/** What stands in the way is told to everybody: in the title, as an alert, and at the field that is wrong. */
export async function assertTold(page, field) {
  const alert = page.getByRole('alert');
  await alert.waitFor();
  const text = await alert.textContent();
  assert.match(await page.title(), /^(Error|Fehler): /);
  if (!field) return text;
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  const described = (await field.getAttribute('aria-describedby')).split(' ');
  assert.ok(described.includes(await alert.getAttribute('id')), 'the field names what is wrong with it');
  // Browsers give it when they have drawn the page. It fails when the field never gets it.
  const element = await field.elementHandle();
  await page.waitForFunction((one) => one === document.activeElement, element);
  return text;
}

async function assertRules(page, options, what) {
  const there = await page.evaluate(() => Boolean(globalThis.axe));
  if (!there) await page.evaluate(axe.source);
  const { violations } = await page.evaluate((chosen) => globalThis.axe.run(chosen), options);
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], what);
}
