// The ways in which people look at a page: by day and by night, in colours of their own, enlarged, with wider text.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { assertBearsSpacing, assertContrast, assertFits, assertKeyboard, assertSound, assertTargets } from './sound.mjs';

const PICTURES = process.env.SCREENSHOTS;
const WHOLE = { width: 1280, height: 1024 };
const OFF = { colorScheme: null, forcedColors: null };

/** The controls whose outlines tell where they are. */
const FIELDS = 'input:not([type=hidden])';
const ALL = `${FIELDS}, button, .deed, .alert`;

/** The page is sound in every look; `lens` takes pictures of it. */
export async function assertSoundInEveryLook(page, lens, what) {
  const looks = [
    [
      'by day',
      { colorScheme: 'light' },
      WHOLE,
      async (look) => {
        await assertSound(page, look);
        await assertTargets(page, look);
        await lens.assertOutlined(page, page.locator(FIELDS), look);
        await assertKeyboard(page, look);
      },
    ],
    [
      'by night',
      { colorScheme: 'dark' },
      WHOLE,
      async (look) => {
        await assertContrast(page, look);
        await lens.assertOutlined(page, page.locator(FIELDS), look);
      },
    ],
    [
      'in forced colours',
      { forcedColors: 'active' },
      WHOLE,
      async (look) => {
        await lens.assertOutlined(page, page.locator(ALL), look);
        await assertKeyboard(page, look);
      },
    ],
    // What 1280 by 1024 leave.
    ['at 200 %', { colorScheme: 'light' }, { width: 640, height: 512 }, (look) => assertFits(page, look)],
    [
      'at 400 %',
      { colorScheme: 'light' },
      { width: 320, height: 256 },
      async (look) => {
        await assertSound(page, look);
        await assertTargets(page, look);
        await assertBearsSpacing(page, look);
      },
    ],
  ];
  for (const [name, media, viewport, assertGood] of looks) {
    await page.emulateMedia({ ...OFF, ...media });
    await page.setViewportSize(viewport);
    await assertGood(`${what}, ${name}`);
    if (PICTURES) await picture(page, `${what} ${name}`);
  }
  await page.emulateMedia(OFF);
  await page.setViewportSize(WHOLE);
}

async function picture(page, name) {
  await mkdir(PICTURES, { recursive: true });
  // Hiding the caret would leave a style on every field.
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true, caret: 'initial' });
}
