// Holds answers against WorkOS' published description of its API (the npm package @workos/openapi-spec).

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import addFormats from 'ajv-formats';
import Ajv from 'ajv/dist/2020.js';
import { parse } from 'yaml';

/**
 * Where the description is known to be silent or wrong: `METHOD path status` of the first, then why. An entry that
 * no answer needed any more is reported, so that the list cannot outlive its reasons.
 */
const KNOWN = [
  [/^(GET|POST) \/passwordless\//, 'Magic Link is deprecated and left out of the description; the SDKs still have it'],
  [/^POST \/api_keys\/\{id\}\/expire /, 'younger than the published description; the Python SDK has it'],
  [/^GET \/user_management\/redirect_uris /, 'younger than the published description; the Python SDK has it'],
  [/ 401$/, 'the description leaves most 401 out; the reference has {"message"} for every endpoint'],
  [/^POST \/user_management\/magic_auth 429$/, 'only the daily quota is described; the rate limit per address is in the reference'],
];

const require = createRequire(import.meta.url);
export const spec = parse(readFileSync(require.resolve('@workos/openapi-spec/spec'), 'utf8'));
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema(spec, 'spec');

const templates = Object.keys(spec.paths).map((path) => ({
  path,
  parts: path.split('/').length,
  fixed: path.split('/').filter((part) => !part.startsWith('{')).length,
  pattern: new RegExp(`^${path.replace(/\{[^}]*\}/g, '[^/]+')}$`),
}));
const used = new Set();

/** Every path the recorder looks at: what WorkOS serves to programs. */
export const isManaged = (path) => !/^\/_control|^\/user_management\/(authkit|device)$|^\/sso\/provider$/.test(path);

/** What is wrong with an answer: a line for each deviation, or nothing. */
export function deviations(method, path, status, type, body) {
  const candidates = templates.filter(({ pattern }) => pattern.test(path)).sort((a, b) => b.fixed - a.fixed);
  const template = candidates.find(({ path: name }) => spec.paths[name][method.toLowerCase()])?.path;
  const named = `${method} ${template ?? generic(path)} ${status}`;
  const found = template ? judge(template, method.toLowerCase(), status, type, body) : ['the path is not described'];
  const excuse = found.length > 0 && KNOWN.find(([pattern]) => pattern.test(named));
  if (excuse) {
    used.add(excuse);
    return [];
  }
  return found.map((text) => `${named}: ${text}`);
}

/** Excuses that nothing needed. */
export const unused = () => KNOWN.filter((excuse) => !used.has(excuse)).map(([pattern, reason]) => `${pattern}: ${reason}`);

/** Excuses that something needed. */
export const reasons = () => [...used].map(([pattern, reason]) => `${pattern.source}: ${reason}`);

function judge(path, method, status, type, body) {
  const operation = spec.paths[path][method];
  if (!operation.responses[status]) {
    return [`the status is not described (${Object.keys(operation.responses)}): ${body.slice(0, 200)}`];
  }
  const pointer = [path, method, 'responses', String(status)];
  const content = operation.responses[status].content?.['application/json'];
  if (!content) {
    return [];
  }
  if (!type.startsWith('application/json')) {
    return [`the answer is ${type || 'empty'} and not JSON`];
  }
  const escaped = ['paths', ...pointer, 'content', 'application/json', 'schema'].map(escape);
  const validate = compiled(`spec#/${escaped.join('/')}`);
  if (validate(JSON.parse(body))) {
    return [];
  }
  const texts = validate.errors.map(({ instancePath, message, params }) => `${instancePath || 'the body'} ${message} ${JSON.stringify(params)}`);
  return [`${[...new Set(texts)].slice(0, 6).join('; ')}: ${body.slice(0, 300)}`];
}

const cache = new Map();

function compiled(reference) {
  if (!cache.has(reference)) {
    cache.set(reference, ajv.compile({ $ref: reference }));
  }
  return cache.get(reference);
}

const escape = (part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));

const generic = (path) => path.split('/').map((part) => (/_[0-9A-Z]{26}$/.test(part) ? '{id}' : part)).join('/');
