// A mail relay on loopback that keeps the letters it is given: a real SMTP server (RFC 5321), with STARTTLS or TLS from
// the first byte (RFC 8314) and a login where a story wants them.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

/** A letter that was delivered: its envelope, and what is written in it. */
class Letter {
  constructor({ secure, user, envelope }, { subject, text, from, headers }) {
    this.to = envelope.rcptTo[0].address;
    this.sender = envelope.mailFrom.address;
    Object.assign(this, { secure, user, subject, text, from, headers });
  }

  header(name) {
    return this.headers.find(({ key }) => key === name)?.value;
  }

  link() {
    const link = this.text.match(/\S+\/magic-link\/open\?link=\S+/);
    if (!link) throw new Error(`no link in ${this.text}`);
    return link[0];
  }
}

/** A running relay. */
export class Mailbox {
  #letters = [];
  #waiting = new Set();

  /**
   * Starts one on a free port. `certificate` is `{ key, certificate }`, files in PEM; with it `wrapped` says TLS from
   * the first byte, otherwise STARTTLS is offered. `login` is `{ user, password }`, without which nobody sends.
   * `strangers` are addresses that it does not know (550 5.1.1).
   */
  static async start({ certificate, wrapped = false, login, strangers = [] } = {}) {
    const mailbox = new Mailbox();
    const tls = certificate && { key: await readFile(certificate.key), cert: await readFile(certificate.certificate) };
    mailbox.server = new SMTPServer({
      ...tls,
      secure: wrapped,
      authOptional: !login,
      disabledCommands: [...(tls ? [] : ['STARTTLS']), ...(login ? [] : ['AUTH'])],
      onAuth: ({ username, password }, session, answer) => {
        const good = username === login.user && password === login.password;
        answer(good ? null : new Error('5.7.8 Authentication credentials invalid'), { user: username });
      },
      onRcptTo: ({ address }, session, answer) => {
        const known = !strangers.includes(address);
        answer(known ? null : Object.assign(new Error('5.1.1 No such mailbox'), { responseCode: 550 }));
      },
      onData: (stream, session, answer) => mailbox.#keep(stream, session).then(() => answer(), answer),
    });
    mailbox.server.on('error', () => {}); // Whoever hangs up is the story's matter.
    const listener = mailbox.server.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    mailbox.port = listener.address().port;
    return mailbox;
  }

  /** The next letter to this address. Each is taken once. */
  async letterTo(address) {
    for (;;) {
      const at = this.#letters.findIndex((letter) => letter.to === address);
      if (at >= 0) return this.#letters.splice(at, 1)[0];
      await new Promise((resolve) => this.#waiting.add(resolve));
    }
  }

  /** The link in the next letter to this address. */
  async linkTo(address) {
    return (await this.letterTo(address)).link();
  }

  /** How many letters nobody has taken yet. */
  get waiting() {
    return this.#letters.length;
  }

  async stop() {
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #keep(stream, session) {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    this.#letters.push(new Letter(session, await PostalMime.parse(Buffer.concat(chunks))));
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
