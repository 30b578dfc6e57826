// One command that runs the whole site: the real Showdown server, players and the client page.
//
//     node site.mjs --port 8000 --pairs 12 --choice-ms 1200 --client old
//
// Prints one line of JSON when it is ready. See arguments.mjs for everything that can be said.

import * as fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { read } from './arguments.mjs';
import { Control } from './control.mjs';
import { Pages } from './pages.mjs';
import { Players } from './players.mjs';
import { ShowdownServer } from './server.mjs';

async function main() {
  const options = read(process.argv.slice(2), process.env);
  options.modules ||= path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');
  options.folder ||= await fs.mkdtemp(path.join(os.tmpdir(), 'showdown-site-'));
  options.serverPort = await freePort();

  const server = new ShowdownServer({ ...options, port: options.serverPort });
  liveUntilToldToEnd(options, server);
  await server.prepare();
  await server.start();
  const pages = new Pages(options);
  const port = await pages.listen(options.port, options.bind);
  const players = new Players(options);
  const control = new Control({ options, server, pages, players });
  const controlPort = await control.listen(options.controlPort);
  players.start();
  console.log(JSON.stringify({ port, controlPort, serverPort: options.serverPort, folder: options.folder }));
}

/** The site ends on a signal and, when asked to, with its standard input; the server never outlives it. */
function liveUntilToldToEnd({ untilStdinEnds }, server) {
  const end = () => { void server.stop().finally(() => process.exit(0)); };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (!untilStdinEnds) return;
  process.stdin.on('end', end);
  process.stdin.on('error', end);
  process.stdin.resume();
}

/** A port that was free a moment ago; the server wants a number before it starts. */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

main().catch((error) => {
  console.error(`the site cannot start: ${error.message}`);
  process.exit(1);
});
