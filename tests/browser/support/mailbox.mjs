// A mail relay on loopback (RFC 5321) that keeps the letters it is given.

import { once } from 'node:events';
import { createServer } from 'node:net';

/** A running relay. */
export class Mailbox {
  #letters = [];
  #waiting = new Set();

  static async start() {
    const mailbox = new Mailbox();
    mailbox.server = createServer((socket) => mailbox.#talk(socket)).listen(0, '127.0.0.1');
    await once(mailbox.server, 'listening');
    mailbox.port = mailbox.server.address().port;
    return mailbox;
  }

  /** The link in the next letter to this address; each letter is taken once. */
  async linkTo(address) {
    for (;;) {
      const at = this.#letters.findIndex((letter) => letter.to === address);
      if (at >= 0) {
        const [{ text }] = this.#letters.splice(at, 1);
        const link = text.match(/\S+\/magic-link\/open\?link=\S+/);
        if (!link) throw new Error(`no link in ${text}`);
        return link[0];
      }
      await new Promise((resolve) => this.#waiting.add(resolve));
    }
  }

  async stop() {
    await new Promise((resolve) => this.server.close(resolve));
  }

  #talk(socket) {
    let heard = '';
    let letter;
    let reading = false;
    const say = (line) => socket.write(`${line}\r\n`);
    const take = (line) => {
      const word = line.split(/[ :]/)[0].toUpperCase();
      if (word === 'RCPT') letter = { to: line.match(/<(.*?)>/)[1] };
      if (word === 'DATA') reading = true;
      if (word === 'QUIT') return socket.end('221 bye\r\n');
      return say(word === 'DATA' ? '354 go on' : '250 ok');
    };
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1');
      for (;;) {
        const end = reading ? '\r\n.\r\n' : '\r\n';
        const at = heard.indexOf(end);
        if (at < 0) return;
        const part = heard.slice(0, at);
        heard = heard.slice(at + end.length);
        if (reading) {
          reading = false;
          this.#letters.push({ ...letter, text: unquoted(part) });
          for (const resolve of this.#waiting) resolve();
          this.#waiting.clear();
          say('250 taken');
        } else take(part);
      }
    });
    say('220 relay');
  }
}

/** Takes quoted-printable back (RFC 2045 §6.7). */
function unquoted(text) {
  if (!/^content-transfer-encoding: quoted-printable$/im.test(text)) return text;
  return text.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}
