// The site's pages and the way to the server's websocket, under one origin, with faults on demand.

import * as fs from 'node:fs/promises';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What can be wrong with the site. */
export const FAULTS = [
  'none',
  'dead', // connections are taken and never answered
  'unavailable', // every page answers 503
  'empty', // the pages are there and show nothing
  'wall', // the client asks for a login before anything else
  'overload', // the server sends away: "PS is under heavy load"
  'stale', // the websocket stays open, nothing comes through it any more
  'offline', // the pages are there, no websocket gets through
  'ban', // as that, and websockets that are open go on
];

const CLIENT = path.join(path.dirname(fileURLToPath(import.meta.url)), 'client');
const TYPES = { '.js': 'text/javascript; charset=utf-8', '.html': 'text/html; charset=utf-8' };
const OVERLOAD = '|popup||modal|PS is under heavy load and cannot accommodate your connection right now.';

export class Pages {
  constructor({ serverPort, client, turnMs, reconnectMs, modules }) {
    const { WebSocketServer } = createRequire(path.join(path.resolve(modules), 'x.js'))('ws');
    Object.assign(this, { serverPort, client, settings: { turnMs, reconnectMs } });
    this.fault = 'none';
    this.uploads = 0;
    this.loads = 0;
    this.tunnels = new Map();
    this.sendingAway = new WebSocketServer({ noServer: true });
    this.server = http.createServer((request, response) => this.answer(request, response));
    this.server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
  }

  async listen(port, bind) {
    await new Promise((resolve, reject) => this.server.once('error', reject).listen(port, bind, resolve));
    return this.server.address().port;
  }

  setFault(fault) {
    if (!FAULTS.includes(fault)) throw new Error(`fault: found ${fault}, allowed: ${FAULTS.join(', ')}`);
    this.fault = fault;
    for (const server of this.tunnels.values()) this.flow(server);
    if (fault === 'dead' || fault === 'offline' || fault === 'overload') this.cut();
  }

  /** Closes every websocket that goes through here. */
  cut() {
    for (const visitor of this.tunnels.keys()) visitor.destroy();
  }

  /** Lets what the server says through, or holds it back. */
  flow(server) {
    if (this.fault === 'stale') server.pause();
    else server.resume();
  }

  async answer(request, response) {
    if (this.fault === 'dead') return;
    if (this.fault === 'unavailable') return send(response, 503, '.html', '<h1>503 Service Unavailable</h1>');
    const { pathname } = new URL(request.url, 'http://site');
    if (request.method === 'POST') {
      // Nobody but an upload of a replay posts here.
      this.uploads += 1;
      return send(response, 200, '.html', ']{"ok":true}');
    }
    if (pathname === '/robots.txt') return send(response, 404, '.html', 'no such file');
    const file = pathname.match(/^\/client\/([a-z]+\.js)$/)?.[1];
    if (file) return this.file(response, file);
    // As the real site: what is not there is answered with the page itself, so a script that is not there
    // makes the page's console say "Unexpected token '<'".
    if (!pathname.includes('.')) this.loads += 1;
    return send(response, 200, '.html', this.fault === 'empty' ? '<!doctype html><title>Showdown!</title>' : this.page());
  }

  async file(response, name) {
    const text = await fs.readFile(path.join(CLIENT, name), 'utf8').catch(() => null);
    return text === null ? send(response, 404, '.html', 'no such file') : send(response, 200, '.js', text);
  }

  page() {
    const settings = JSON.stringify({ ...this.settings, wall: this.fault === 'wall' });
    return `<!doctype html>
<html><head><meta charset="utf-8"><title>Showdown!</title></head>
<body>
<script>window.SITE = ${settings};</script>
<script src="/js/optional-feature.js"></script>
<script src="/client/battle.js"></script>
<script src="/client/${this.client}.js"></script>
</body></html>`;
  }

  upgrade(request, socket, head) {
    socket.on('error', () => socket.destroy());
    if (this.fault === 'dead') return;
    if (this.fault === 'overload') {
      this.sendingAway.handleUpgrade(request, socket, head, (visitor) => { visitor.send(OVERLOAD); visitor.close(); });
      return;
    }
    if (!['none', 'wall', 'stale'].includes(this.fault)) return socket.destroy();
    this.tunnel(request, socket, head);
  }

  /** Hands the connection on to the real server, byte by byte. */
  tunnel(request, visitor, head) {
    const server = net.connect(this.serverPort, '127.0.0.1');
    const close = () => { visitor.destroy(); server.destroy(); this.tunnels.delete(visitor); };
    this.tunnels.set(visitor, server);
    server.once('connect', () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      server.write(`${lines.join('\r\n')}\r\n\r\n`);
      server.write(head);
      visitor.pipe(server);
    });
    server.on('data', (bytes) => visitor.write(bytes));
    this.flow(server);
    for (const end of [visitor, server]) for (const event of ['error', 'close', 'end']) end.on(event, close);
  }
}

function send(response, status, extension, text) {
  response.writeHead(status, { 'content-type': TYPES[extension], 'cache-control': 'no-store' });
  response.end(text);
}
