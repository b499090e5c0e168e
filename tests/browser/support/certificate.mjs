// A certificate for loopback, made for the occasion.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A key and a certificate that vouches for itself, for `localhost`, as files in `folder`. */
export async function selfSigned(folder) {
  const [key, certificate] = ['key.pem', 'certificate.pem'].map((name) => join(folder, name));
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    // It is its own authority, but not one for others: those may not speak for a host (RFC 5280 §4.2.1.9).
    ...['-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', certificate],
  ]);
  return { key, certificate };
}
