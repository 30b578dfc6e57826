// The real Showdown server, in a folder of its own for each run.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders the server writes in: copied. Everything else is only read: linked. */
const WRITTEN = new Set(['config', 'databases', 'logs']);
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 5_000;

export class ShowdownServer {
  /** `modules` is the node_modules folder that holds the server; `folder` is where this run lives. */
  constructor({ modules, folder, port, throttle }) {
    Object.assign(this, { modules, folder, port, throttle });
    this.home = path.join(folder, 'pokemon-showdown');
    this.child = null;
    this.starts = 0;
  }

  get pid() {
    return this.child?.pid ?? null;
  }

  /** Makes the run's folder. */
  async prepare() {
    await replicate(path.join(this.modules, 'pokemon-showdown'), this.home, false);
    await fs.symlink(path.resolve(this.modules), path.join(this.folder, 'node_modules'), 'dir');
    const folders = ['logs/repl', 'logs/chat', 'logs/modlog', 'logs/tickets', 'config/chat-plugins', 'config/avatars', 'config/ladders'];
    for (const folder of folders) await fs.mkdir(path.join(this.home, folder), { recursive: true });
    await fs.writeFile(path.join(this.home, 'config', 'config.js'), configuration(this));
  }

  /** Starts the server and returns when it takes connections. */
  async start() {
    if (this.child) throw new Error('the server is running already');
    this.starts += 1;
    // In append mode, so that the log of a run with restarts stays whole.
    const log = createWriteStream(path.join(this.folder, 'server.log'), { flags: 'a' });
    const lifeline = path.join(path.dirname(fileURLToPath(import.meta.url)), 'lifeline.cjs');
    const args = ['--require', lifeline, 'pokemon-showdown', 'start', String(this.port), '--skip-build'];
    const child = spawn(process.execPath, args, { cwd: this.home, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    child.stdin.on('error', () => {}); // the server died first; its exit tells
    this.child = child;
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => {
      if (this.child === child) this.child = null;
      resolve(signal ?? code);
    }));
    await this.ready();
  }

  async ready() {
    const deadline = Date.now() + READY_WITHIN_MS;
    while (Date.now() < deadline) {
      if (!this.child) throw new Error(`the server ended (${await this.exited}); see ${this.folder}/server.log`);
      if (await accepts(this.port)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the server took no connection on port ${this.port} within ${READY_WITHIN_MS} ms`);
  }

  /** Kills the server, as a crash would: battles that go on are lost. */
  async stop() {
    if (!this.child) return;
    const exited = this.exited;
    this.child.kill('SIGKILL');
    const late = new Promise((_, reject) => setTimeout(reject, STOP_WITHIN_MS, new Error('the server did not die')).unref());
    await Promise.race([exited, late]);
  }
}

function configuration({ throttle }) {
  return `'use strict';
exports.bindaddress = '127.0.0.1';
exports.loginserver = 'http://127.0.0.1:9/'; // nobody is there: players log in without it
exports.noguestsecurity = true;
exports.backdoor = false;
exports.repl = false;
exports.watchconfig = false;
exports.reportbattles = false;
exports.usesqlite = false;
exports.consoleips = [];
exports.nothrottle = ${!throttle};
exports.noipchecks = true; // all players come from one address
exports.subprocesses = 0; // one process: ready in a second, a tenth of the memory
// The server logs what it knows itself, with exact HP. Beside it we want what it shows to everybody.
exports.startuphook = () => {
	const { logBattle } = Rooms.RoomBattle.prototype;
	Rooms.RoomBattle.prototype.logBattle = function (...args) {
		if (this.logData) this.logData.publicLog = this.room.getLog(0).split('\\n');
		return logBattle.apply(this, args);
	};
	// Only registered users may chat in battles. '2' is what the login server says of them.
	const { handleRename } = Users.User.prototype;
	Users.User.prototype.handleRename = function (name, userid, newlyRegistered) {
		return handleRename.call(this, name, userid, newlyRegistered, '2');
	};
};
`;
}

/** Copies a folder: files that are only read become hard links where the file system can. */
async function replicate(from, to, written) {
  await fs.mkdir(to, { recursive: true });
  for (const entry of await fs.readdir(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) await replicate(source, target, written || WRITTEN.has(entry.name));
    else if (entry.name.endsWith('.map')) continue; // half of the package, read by nobody
    else if (written) await fs.copyFile(source, target);
    else await fs.link(source, target).catch(() => fs.copyFile(source, target));
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
