// Looks at pictures of pages as somebody without the page's source would: reads QR codes, and sees whether things
// stand out from what is around them.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const JSQR = readFileSync(createRequire(import.meta.url).resolve('jsqr'), 'utf8');
/** Contrast of what is needed to make out a control (WCAG 1.4.11). */
const LEAST_CONTRAST = 3;

/** A page of its own that takes pictures apart. */
export class Lens {
  static async grind(browser) {
    const lens = new Lens();
    lens.page = await browser.newPage();
    await lens.page.evaluate(JSQR);
    return lens;
  }

  /** The text of the QR code in a picture of an element, or of a page. */
  async read(subject) {
    await this.#look(await subject.screenshot({ caret: 'initial' }));
    return this.page.evaluate(() => {
      const { data, width, height } = globalThis.picture;
      return globalThis.jsQR(data, width, height)?.data;
    });
  }

  /** Every one of these stands out at its left edge from what is beside it. */
  async assertOutlined(page, controls, what) {
    await this.#look(await page.screenshot({ caret: 'initial', fullPage: true }));
    const boxes = await controls.evaluateAll((all) =>
      all.map((one) => {
        const box = one.getBoundingClientRect();
        return { html: one.outerHTML.slice(0, 80), x: box.left + scrollX, y: box.top + scrollY + box.height / 2 };
      }),
    );
    const flat = await this.page.evaluate(
      ([all, least]) => {
        const { data, width } = globalThis.picture;
        const light = (x, y) => {
          const at = (Math.round(y) * width + Math.round(x)) * 4;
          const [red, green, blue] = [0, 1, 2].map((part) => {
            const value = data[at + part] / 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        };
        const contrast = (one, another) => (Math.max(one, another) + 0.05) / (Math.min(one, another) + 0.05);
        const standsOut = ({ x, y }) =>
          [-1, 0, 1, 2, 3].some((step) => contrast(light(x + step, y), light(x - 5, y)) >= least);
        return all.filter((one) => !standsOut(one)).map(({ html }) => html);
      },
      [boxes, LEAST_CONTRAST],
    );
    assert.deepEqual(flat, [], `${what}: does not stand out`);
  }

  async #look(png) {
    await this.page.evaluate(async (encoded) => {
      const blob = await (await fetch(`data:image/png;base64,${encoded}`)).blob();
      const bitmap = await createImageBitmap(blob);
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext('2d');
      context.drawImage(bitmap, 0, 0);
      globalThis.picture = context.getImageData(0, 0, bitmap.width, bitmap.height);
    }, png.toString('base64'));
  }
}
