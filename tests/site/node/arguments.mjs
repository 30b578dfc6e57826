// What the site is told on its command line or in its environment (SITE_PAIRS for --pairs, and so on).

import { parseArgs } from 'node:util';

const DEFAULTS = {
  /** Port of the pages, 0 for a free one. */
  port: '0',
  /** Port of the control endpoints, 0 for a free one. */
  'control-port': '0',
  /** Address of the pages; everything else stays on loopback. */
  bind: '127.0.0.1',
  /** Pairs of players. */
  pairs: '12',
  /** Mean pause before a choice, in milliseconds. */
  'choice-ms': '1200',
  /** Generation of the client page: old or new. */
  client: 'old',
  /** Formats that players search for, separated by commas. */
  formats: 'gen9randombattle',
  /** Whether the server drops what is said too fast. */
  throttle: 'false',
  seed: '1',
  /** Shares, 0 to 1: battles given up early; battles six times slower; searches for a private battle; chat and timers. */
  'forfeit-share': '0.1',
  'lasting-share': '0.1',
  'private-share': '0.05',
  'chat-share': '0.2',
  /** How long the client animates a turn, where animations are on. */
  'turn-ms': '5000',
  /** How long the newer client waits before it reconnects. */
  'reconnect-ms': '7000',
  /** The node_modules folder with pokemon-showdown and ws. */
  modules: '',
  /** Where this run lives; it must be empty. */
  folder: '',
  /** Whether the site ends when its standard input does. */
  'until-stdin-ends': 'false',
};

/** Reads arguments and environment; throws with a sentence that says what is wrong. */
export function read(argv, environment) {
  const options = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ args: argv, options, strict: true });
  const text = (name) => values[name] ?? environment[`SITE_${name.toUpperCase().replaceAll('-', '_')}`] ?? DEFAULTS[name];
  const number = (name, min, max) => {
    const value = Number(text(name));
    if (text(name) !== '' && value >= min && value <= max) return value;
    throw new Error(`--${name}: found ${text(name)}, allowed: a number from ${min} to ${max}`);
  };
  const oneOf = (name, allowed) => {
    if (allowed.includes(text(name))) return text(name);
    throw new Error(`--${name}: found ${text(name)}, allowed: ${allowed.join(', ')}`);
  };
  const flag = (name) => oneOf(name, ['true', 'false']) === 'true';
  return {
    port: number('port', 0, 65535),
    controlPort: number('control-port', 0, 65535),
    bind: text('bind'),
    pairs: number('pairs', 0, 500),
    choiceMs: number('choice-ms', 0, 600_000),
    client: oneOf('client', ['old', 'new']),
    formats: text('formats').split(',').filter(Boolean),
    throttle: flag('throttle'),
    seed: number('seed', 0, 2 ** 31),
    forfeitShare: number('forfeit-share', 0, 1),
    lastingShare: number('lasting-share', 0, 1),
    privateShare: number('private-share', 0, 1),
    chatShare: number('chat-share', 0, 1),
    turnMs: number('turn-ms', 0, 600_000),
    reconnectMs: number('reconnect-ms', 0, 600_000),
    modules: text('modules'),
    folder: text('folder'),
    untilStdinEnds: flag('until-stdin-ends'),
  };
}
