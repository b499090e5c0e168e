// What our pages and letters say in each language, read from the catalogues that the server is built with.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';

const CATALOGUES = new URL('../../../src/server/pages/words/', import.meta.url);
/** A line of a catalogue that says something: the head of a section, or a key with its text, letter or list. */
const LINE = /^\[(?<section>[\w.]+)\]$|^(?<key>\w+) = (?:"""\n(?<letter>[^]*?)"""|(?<list>\[[^]*?\n\])|(?<text>".*"))$/gm;
/** Shorter pieces stand in many languages. */
const LEAST_LETTERS = 4;

/** What the pages say in a language, by sections and keys: `words('en').step.code_title`. */
export function words(language) {
  const catalogue = {};
  let section = catalogue;
  for (const { groups } of readFileSync(new URL(`${language}.toml`, CATALOGUES), 'utf8').matchAll(LINE)) {
    if (groups.section) {
      section = groups.section.split('.').reduce((outer, name) => (outer[name] ??= {}), catalogue);
    } else section[groups.key] = said(groups);
  }
  return catalogue;
}

/** The text with what its braces stand for: `filled('{n} times', { n: 3 })`. */
export function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The page speaks German and nothing else; `what` names it in messages. */
export async function assertGerman(page, what = page.url()) {
  assert.equal(await page.locator('html').getAttribute('lang'), 'de', what);
  const text = `${await page.title()}\n${await page.locator('main').innerText()}`;
  const german = new Set(pieces(words('de')));
  const foreign = pieces(words('en')).filter((piece) => !german.has(piece));
  assert.ok(foreign.length > 150, 'the catalogue was read');
  assert.deepEqual(foreign.filter((piece) => stands(piece, text)), [], `${what}: ${text}`);
}

function said({ letter, list, text }) {
  if (letter !== undefined) return letter;
  return JSON.parse(text ?? list.replace(/,\s*\]$/, ']'));
}

/** Everything that a catalogue says, without what is filled in. */
function pieces(catalogue) {
  if (typeof catalogue !== 'string') return Object.values(catalogue).flatMap(pieces);
  const parts = catalogue.split(/\{\w+\}/).map((part) => part.trim());
  return parts.filter((part) => part.length >= LEAST_LETTERS);
}

/** These words stand there, and not as a part of others. */
function stands(piece, text) {
  const literal = piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+');
  return new RegExp(`(?<![\\p{L}-])${literal}(?![\\p{L}-])`, 'u').test(text);
}
