// The words for errors in WorkOS' published description, of the operations that Vestibule uses: each must stand in the
// tables from which `vestibule workos` takes its explanations.

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { spec } from './description.mjs';
import { isUsed } from './coverage.mjs';

/** Words of details that say nothing without the field they stand beside. */
const SELF_EXPLAINING = new Set(['required']);

/** Words that are described and not explained. */
export function unexplained() {
  const folder = fileURLToPath(new URL('../../../src/command/workos/codes/', import.meta.url));
  const tables = readdirSync(folder).map((name) => readFileSync(`${folder}/${name}`, 'utf8')).join('\n');
  return [...described()].filter((word) => !SELF_EXPLAINING.has(word) && !tables.includes(`"${word}"`)).sort();
}

function described() {
  const words = new Set();
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (isUsed(method.toUpperCase(), path.replace(/\{[^}]*\}/g, 'x'))) {
        const refusals = Object.entries(operation.responses).filter(([status]) => /^[45]/.test(status));
        refusals.forEach(([, refusal]) => collect(refusal, undefined, words, 0));
      }
    }
  }
  return words;
}

/** What a schema says that its members `code` and `error` can hold. */
function collect(node, name, words, depth) {
  const resolved = resolve(node);
  if (resolved === null || typeof resolved !== 'object' || depth > 16) {
    return;
  }
  if (name === 'code' || name === 'error') {
    const said = [resolved.const, resolved.example, ...(resolved.enum ?? [])];
    said.filter((word) => /^[a-z_]+$/.test(word ?? '')).forEach((word) => words.add(word));
  }
  for (const inner of Object.values(resolved.content ?? {})) {
    collect(inner.schema, undefined, words, depth + 1);
  }
  for (const inner of [resolved.oneOf, resolved.anyOf, resolved.allOf].flatMap((list) => list ?? [])) {
    collect(inner, name, words, depth + 1);
  }
  for (const [member, inner] of Object.entries(resolved.properties ?? {})) {
    collect(inner, member, words, depth + 1);
  }
  collect(resolved.items ?? null, undefined, words, depth + 1);
}

function resolve(node) {
  let found = node;
  while (found?.$ref) {
    found = found.$ref.slice(2).split('/').reduce((inner, part) => inner[part], spec);
  }
  return found;
}
