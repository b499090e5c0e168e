// A real nginx in front of the demo, which ends TLS with a certificate made for the occasion.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { selfSigned } from './certificate.mjs';
import { Program, until } from './processes.mjs';

/** The configuration that the repository ships for an nginx in front. */
const SHIPPED = new URL('../../../deploy/nginx', import.meta.url).pathname;

/** nginx with TLS on one port and plain HTTP on another, both leading to `upstream`. */
export class Nginx {
  static async start({ tlsPort, plainPort, upstream }) {
    const nginx = new Nginx();
    nginx.folder = await mkdtemp(join(tmpdir(), 'vestibule-nginx-'));
    const { key, certificate } = await selfSigned(nginx.folder);
    const file = join(nginx.folder, 'nginx.conf');
    await writeFile(file, nginx.#configuration({ tlsPort, plainPort, upstream, key, certificate }));
    nginx.program = new Program('nginx', ['-e', 'stderr', '-p', nginx.folder, '-c', file]);
    await until(
      () => answers(tlsPort),
      () => `nginx does not listen:\n${nginx.program.log}`,
    );
    return nginx;
  }

  #configuration({ tlsPort, plainPort, upstream, key, certificate }) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    return `
daemon off;
master_process off;
pid ${this.folder}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${this.folder}/${name};`).join('\n  ')}
  include ${SHIPPED}/vestibule-http.conf;
  include ${SHIPPED}/vestibule-proxy.conf;
  server {
    listen 127.0.0.1:${tlsPort} ssl http2;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    location / { proxy_pass ${upstream}; }
  }
  server {
    listen 127.0.0.1:${plainPort};
    location / { proxy_pass ${upstream}; }
  }
}
`;
  }

  async stop() {
    await this.program.stop('SIGTERM');
    await rm(this.folder, { recursive: true });
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
