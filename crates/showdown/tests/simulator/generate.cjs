// Fights battles in the simulator itself, without a server, and prints one line of JSON for each:
// what everybody sees of it, and what the simulator says of its end.
//
//     node generate.cjs MODULES COUNT SEED
'use strict';

const path = require('node:path');

const [modules, count, seed] = process.argv.slice(2);
const dist = path.join(path.resolve(modules), 'pokemon-showdown', 'dist', 'sim');
const { BattleStream, getPlayerStreams, Teams } = require(dist);
const { extractChannelMessages } = require(path.join(dist, 'battle'));
const { RandomPlayerAI } = require(path.join(dist, 'tools', 'random-player-ai'));

const FORMATS = ['gen9randombattle', 'gen9randomdoublesbattle', 'gen8randombattle', 'gen7randombattle', 'gen4randombattle', 'gen1randombattle'];

async function fight(number) {
  const formatid = FORMATS[number % FORMATS.length];
  const seeds = (salt) => [Number(seed), number, salt, 1];
  let [log, end] = ['', null];
  const stream = new BattleStream();
  const push = stream.push.bind(stream);
  stream.push = (message) => {
    const [kind, ...rest] = message.split('\n');
    if (kind === 'update') log += `${extractChannelMessages(rest.join('\n'), [0])[0].join('\n')}\n`;
    if (kind === 'end') end = JSON.parse(rest.join('\n'));
    push(message);
  };
  const streams = getPlayerStreams(stream);
  for (const [salt, side] of ['p1', 'p2'].entries()) void new RandomPlayerAI(streams[side], { seed: seeds(salt + 2), move: 0.8, mega: 0.6 }).start();
  const player = (salt, name) => JSON.stringify({ name, team: Teams.pack(Teams.generate(formatid, { seed: seeds(salt + 4) })) });
  await streams.omniscient.write(`>start ${JSON.stringify({ formatid, seed: seeds(1) })}\n>player p1 ${player(0, 'Zoe ♥')}\n>player p2 ${player(1, 'Bob')}`);
  if (number % 7 === 3) await streams.omniscient.write('>forcelose p1');
  else if (number % 7 === 5) await streams.omniscient.write('>forcetie');
  for await (const _ of streams.omniscient);
  return { format: formatid, log, winner: end.winner || null, turns: end.turns };
}

async function main() {
  for (let number = 0; number < Number(count); number++) console.log(JSON.stringify(await fight(number)));
}

main();
