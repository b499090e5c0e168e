// What Vestibule asks of WorkOS, operation by operation, and which of WorkOS' own clients has done the same here. An
// operation that one of them has not done is reported, so that none is left to our own reading of the reference.

const ID = '[^/]+';
const grant = (name) => `POST /user_management/authenticate ${name}`;

/** Operations as `METHOD path`, and for sign-ins the grant: of the commands, of our own page, of links, of terminals. */
const OPERATIONS = [
  'GET /user_management/users',
  'POST /user_management/users',
  `GET /user_management/users/external_id/${ID}`,
  ...['GET', 'PUT', 'DELETE'].map((method) => `${method} /user_management/users/${ID}`),
  'GET /user_management/organization_memberships',
  'POST /user_management/organization_memberships',
  ...['GET', 'PUT', 'DELETE'].map((method) => `${method} /user_management/organization_memberships/${ID}`),
  ...['deactivate', 'reactivate'].map((verb) => `PUT /user_management/organization_memberships/${ID}/${verb}`),
  'GET /user_management/invitations',
  'POST /user_management/invitations',
  `GET /user_management/invitations/by_token/${ID}`,
  `GET /user_management/invitations/${ID}`,
  ...['accept', 'resend', 'revoke'].map((verb) => `POST /user_management/invitations/${ID}/${verb}`),
  `GET /user_management/users/${ID}/sessions`,
  'POST /user_management/sessions/revoke',
  `GET /user_management/users/${ID}/auth_factors`,
  `POST /user_management/users/${ID}/auth_factors`,
  `POST /auth/factors/${ID}/challenge`,
  `POST /auth/challenges/${ID}/verify`,
  `DELETE /auth/factors/${ID}`,
  'POST /user_management/magic_auth',
  `GET /user_management/magic_auth/${ID}`,
  'POST /user_management/password_reset',
  'POST /user_management/password_reset/confirm',
  `GET /user_management/password_reset/${ID}`,
  `GET /user_management/email_verification/${ID}`,
  ...['send', 'confirm'].map((verb) => `POST /user_management/users/${ID}/email_verification/${verb}`),
  'POST /api_keys/validations',
  'POST /passwordless/sessions',
  `POST /passwordless/sessions/${ID}/send`,
  'POST /sso/token authorization_code',
  'POST /user_management/authorize/device',
  grant('authorization_code'),
  grant('refresh_token'),
  grant('refresh_token without a secret'),
  grant('urn:ietf:params:oauth:grant-type:device_code'),
  ...['magic-auth:code', 'email-verification:code', 'mfa-totp', 'organization-selection'].map((name) =>
    grant(`urn:workos:oauth:grant-type:${name}`),
  ),
].map((operation) => new RegExp(`^${operation}$`));

/** What a client cannot do, and why that is no gap. */
const CANNOT = [[/^Node /, /device/, 'the client for Node has nothing for devices; its story sends the calls by hand']];

/** Clients by the beginning of their `User-Agent`. */
const CLIENTS = [
  ['Node', /^workos-node/],
  ['Python', /^WorkOS Python/],
];
const done = new Set();

/** Takes down what a client did, if it was answered well. */
export function note(method, path, headers, body, status) {
  const client = CLIENTS.find(([, agent]) => agent.test(headers['user-agent'] ?? ''));
  if (client && status < 300) {
    const fields = fieldsOf(headers['content-type'] ?? '', body);
    const secret = fields.grant_type === 'refresh_token' && !fields.client_secret ? ' without a secret' : '';
    const named = `${method} ${path}${fields.grant_type ? ` ${fields.grant_type}${secret}` : ''}`;
    OPERATIONS.filter((operation) => operation.test(named)).forEach((operation) => done.add(`${client[0]} ${operation.source}`));
  }
}

/** What one of the clients has not done. */
export function undone() {
  const wanted = CLIENTS.flatMap(([client]) => OPERATIONS.map((operation) => `${client} ${operation.source}`));
  const excused = (line) => CANNOT.some(([client, operation]) => client.test(line) && operation.test(line));
  return wanted.filter((line) => !done.has(line) && !excused(line));
}

/** Is this one of the operations, by whatever grant? */
export const isUsed = (method, path) =>
  OPERATIONS.some((operation) => operation.test(`${method} ${path}`) || operation.source.startsWith(`^${method} ${path} `.replaceAll('/', '\\/')));

/** How many operations there are. */
export const count = OPERATIONS.length;

function fieldsOf(type, body) {
  try {
    return type.startsWith('application/x-www-form-urlencoded') ? Object.fromEntries(new URLSearchParams(body)) : JSON.parse(body);
  } catch {
    return {};
  }
}
