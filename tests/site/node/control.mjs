// Control endpoints, on a port of their own so that they answer while the site is down.
//
//     GET  /status    what there is and what was counted
//     GET  /battles   the ground truth
//     POST /fault {"fault":"dead"} · /cut · /server/stop · /server/start · /server/restart
//     POST /players/stop {"hurry":true} · /players/resume · /players/hide {"id":"battle-..."} · /players/poison, as well

import http from 'node:http';

import { battles } from './truth.mjs';

export class Control {
  constructor({ options, server, pages, players }) {
    Object.assign(this, { options, server, pages, players, choiceMs: options.choiceMs });
    this.http = http.createServer((request, response) => this.answer(request, response));
  }

  async listen(port) {
    await new Promise((resolve, reject) => this.http.once('error', reject).listen(port, '127.0.0.1', resolve));
    return this.http.address().port;
  }

  async answer(request, response) {
    let [status, body] = [200, undefined];
    try {
      body = await this.act(`${request.method} ${request.url}`, await bodyOf(request));
      if (body === undefined) [status, body] = [404, { error: `no such thing: ${request.method} ${request.url}` }];
    } catch (error) {
      [status, body] = [500, { error: error.message }];
    }
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  async act(what, body) {
    const { server, pages, players } = this;
    switch (what) {
      case 'GET /status':
        return {
          fault: pages.fault,
          uploads: pages.uploads,
          loads: pages.loads,
          connections: pages.tunnels.size,
          players: players.counts(),
          processes: [process.pid, server.pid].filter(Boolean),
          starts: server.starts,
        };
      case 'GET /battles':
        return battles(server.home);
      case 'POST /fault':
        return done(pages.setFault(body.fault));
      case 'POST /cut':
        return done(pages.cut());
      case 'POST /players/stop':
        return done(await players.drain(body.hurry));
      case 'POST /players/resume':
        return done(players.resume(this.choiceMs));
      case 'POST /players/hide':
        return done(players.say(body.id, '/hideroom'));
      case 'POST /players/poison':
        return done(players.say(body.id, 'poison'));
      case 'POST /server/stop':
        return done(await server.stop());
      case 'POST /server/start':
        return done(await server.start());
      case 'POST /server/restart':
        await server.stop();
        return done(await server.start());
      default:
        return undefined;
    }
  }
}

function done() {
  return { done: true };
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text ? JSON.parse(text) : {};
}
