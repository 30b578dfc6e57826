// Players: real connections that search for battles and play them with random legal choices.

import { createRequire } from 'node:module';
import path from 'node:path';

import { seeded } from './random.mjs';

/** What the server's throttle lets through: one message per 600 ms, and some slack. */
const THROTTLE_MS = 650;
const RECONNECT_MS = 500;
/** Pace while the last battles are brought to their end. */
const HURRY_MS = 10;
// The shortest battle: what a list can be expected to show. On the real site nobody gives up sooner either.
const SHORTEST_MS = 2500;

/** All players of a site. */
export class Players {
  constructor(options) {
    const require = createRequire(path.join(path.resolve(options.modules), 'x.js'));
    this.options = { ...options, WebSocket: require('ws'), Brain: brainClass(require) };
    this.stopping = false;
    this.players = [];
  }

  start() {
    for (let i = this.players.length; i < 2 * this.options.pairs; i++) {
      this.players.push(new Player(this, i));
    }
  }

  /** Players end the battles they are in, fast when `hurry`, and start none. Resolves when all are idle. */
  async drain(hurry) {
    this.stopping = true;
    if (hurry) this.options.choiceMs = HURRY_MS;
    for (const player of this.players) player.rest(hurry);
    // Twice in a row: a search can have become a battle while its cancellation was under way.
    for (let quiet = 0; quiet < 2; quiet = this.players.some((player) => player.busy) ? 0 : quiet + 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Players search again after a drain. */
  resume(choiceMs) {
    this.stopping = false;
    this.options.choiceMs = choiceMs;
    for (const player of this.players) player.search();
  }

  /** Has a player say something in the battle that goes on in a room, or give a command there. */
  say(room, words) {
    const player = this.players.find((player) => player.battles.has(room));
    if (!player) throw new Error(`nobody plays in ${room}`);
    player.say(`${room}|${words}`);
  }

  counts() {
    const count = (state) => this.players.filter((player) => player.state === state).length;
    return { offline: count('offline'), idle: count('idle'), searching: count('searching'), playing: count('playing') };
  }
}

class Player {
  constructor(team, index) {
    this.team = team;
    this.index = index;
    this.random = seeded(team.options.seed * 7919 + index);
    // Names with letters beyond ASCII, as far as the server lets them through: logs must survive them.
    this.name = `${['Zoe ♥', 'Minsu 민수', 'Player'][index % 3]} ${team.options.seed % 1000}x${index}`;
    const formats = team.options.formats;
    this.format = formats[Math.floor(index / 2) % formats.length];
    this.state = 'offline';
    this.battles = new Map();
    this.outbox = [];
    this.sentAt = 0;
    this.connect();
  }

  /** A search that the server still has can become a battle at any time. */
  get busy() {
    return this.battles.size > 0 || this.state === 'searching';
  }

  connect() {
    const { WebSocket, serverPort } = this.team.options;
    const socket = new WebSocket(`ws://127.0.0.1:${serverPort}/showdown/websocket`, { perMessageDeflate: false });
    this.socket = socket;
    socket.on('open', () => {
      this.say(`|/trn ${this.name},0,`);
      this.say('|/utm null');
      this.state = 'idle';
      this.search();
    });
    socket.on('message', (data) => this.receive(String(data)));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      this.state = 'offline';
      for (const battle of this.battles.values()) clearTimeout(battle.timer);
      this.battles.clear();
      this.outbox = [];
      setTimeout(() => this.connect(), RECONNECT_MS);
    });
  }

  rest(hurry) {
    if (this.state === 'searching') this.say('|/cancelsearch');
    if (hurry) for (const battle of this.battles.values()) { battle.slow = 1; this.decide(battle); }
  }

  search() {
    if (this.team.stopping || this.state !== 'idle') return;
    this.state = 'searching';
    if (this.random() < this.team.options.privateShare) this.say('|/hidenext');
    this.say(`|/search ${this.format}`);
  }

  /** Sends, at the pace the server's throttle allows when it is on. */
  say(message) {
    if (!this.team.options.throttle) {
      if (this.socket.readyState === 1) this.socket.send(message);
      return;
    }
    this.outbox.push(message);
    if (this.outbox.length === 1) this.pump();
  }

  pump() {
    const wait = Math.max(0, this.sentAt + THROTTLE_MS - Date.now());
    setTimeout(() => {
      const message = this.outbox[0];
      if (message === undefined || this.socket.readyState !== 1) return;
      this.sentAt = Date.now();
      this.socket.send(message);
      this.outbox.shift();
      if (this.outbox.length) this.pump();
    }, wait);
  }

  receive(message) {
    let room = '';
    let lines = message.split('\n');
    if (lines[0].startsWith('>')) room = lines.shift().slice(1);
    if (!room && lines[0].startsWith('|updatesearch|')) return this.searches(JSON.parse(lines[0].slice(14)));
    if (!room.startsWith('battle-')) return;
    for (const line of lines) this.hear(room, line);
  }

  /** While players rest, the server's own word tells that a search is over. */
  searches({ searching, games }) {
    if (!this.team.stopping || this.state !== 'searching') return;
    if (searching.length) this.say('|/cancelsearch');
    else if (!games) this.state = 'idle';
  }

  hear(room, line) {
    const [, kind, ...rest] = line.split('|');
    const battle = this.battles.get(room);
    if (kind === 'init') this.enter(room);
    else if (!battle) return;
    else if (kind === 'request' && rest[0]) this.consider(battle, JSON.parse(rest.join('|')));
    else if (kind === 'noinit' && rest[0] === 'rename') this.rename(battle, rest[1]);
    else if (kind === 'error' && rest[0]?.startsWith('[Invalid choice]')) this.say(`${battle.room}|/choose default`);
    else if (kind === 'win' || kind === 'tie') this.finish(battle);
    else if (kind === 'deinit' || kind === 'noinit') this.finish(battle);
  }

  enter(room) {
    const { forfeitShare, lastingShare, chatShare } = this.team.options;
    this.state = 'playing';
    const fate = this.random();
    const battle = { room, slow: 1, forfeits: fate < forfeitShare, since: Date.now(), timer: undefined, request: undefined };
    if (fate > 1 - lastingShare) battle.slow = 6;
    battle.brain = new this.team.options.Brain(Math.floor(this.random() * 0xffff), (choice) => { battle.choice = choice; });
    this.battles.set(room, battle);
    if (this.random() < chatShare) this.say(`${room}|good luck | have fun`);
    if (this.random() < chatShare) this.say(`${room}|/timer on`);
  }

  consider(battle, request) {
    battle.request = request;
    battle.choice = undefined;
    battle.brain.receiveRequest(request);
    this.decide(battle);
  }

  /** Says the choice after a while; a second call moves that moment. */
  decide(battle) {
    clearTimeout(battle.timer);
    if (battle.choice === undefined) return;
    const pause = this.team.options.choiceMs * battle.slow * (0.5 + this.random());
    // A choice that may end the battle is not made too soon.
    const hasty = battle.forfeits || this.team.options.choiceMs === HURRY_MS;
    const young = hasty ? SHORTEST_MS - (Date.now() - battle.since) : 0;
    battle.timer = setTimeout(() => {
      if (battle.forfeits) return this.say(`${battle.room}|/forfeit`);
      this.say(`${battle.room}|/choose ${battle.choice}|${battle.request.rqid}`);
      battle.choice = undefined;
    }, Math.max(pause, young));
  }

  rename(battle, room) {
    this.battles.delete(battle.room);
    battle.room = room;
    this.battles.set(room, battle);
  }

  finish(battle) {
    clearTimeout(battle.timer);
    if (!this.battles.delete(battle.room)) return;
    this.say(`|/noreply /leave ${battle.room}`);
    if (this.battles.size) return;
    this.state = 'idle';
    setTimeout(() => this.search(), this.team.options.choiceMs);
  }
}

/** The simulator's own random player, with its choices handed to us instead of to a stream. */
function brainClass(require) {
  const { RandomPlayerAI } = require('pokemon-showdown/dist/sim/tools/random-player-ai');
  return class Brain extends RandomPlayerAI {
    constructor(seed, choose) {
      super({}, { seed: [seed, seed ^ 0x5555, seed ^ 0x3333, 1], move: 0.85, mega: 0.6 });
      this.choose = choose;
    }
  };
}
