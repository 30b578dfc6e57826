// A way to another HTTP server, with faults on demand: what an object store behind it does that is slow, refuses or is full.
//
//     GATE_TARGET=http://minio:9000 GATE_PORT=9000 GATE_CONTROL_PORT=9001 node gate.mjs
//
// POST /fault {"fault":"full"} on the control port; everything goes through with {"fault":"none"}.

import http from 'node:http';

/** How late a slow store takes what is put. */
const SLOW_MS = 10_000;

/** What can be wrong: which requests are answered here instead of there, and how. */
const FAULTS = {
  none: {},
  slow: { delayMs: SLOW_MS },
  refusing: { reads: true, writes: true, status: 403, code: 'AccessDenied' },
  full: { writes: true, status: 507, code: 'XMinioStorageFull' },
};

const target = new URL(process.env.GATE_TARGET);
let fault = FAULTS.none;

function answer(request, response) {
  const writes = request.method === 'PUT' || request.method === 'POST';
  if (writes ? fault.writes : fault.reads) return refuse(request, response);
  const delay = writes ? fault.delayMs ?? 0 : 0;
  setTimeout(() => pass(request, response), delay);
}

/** Refuses as S3 does, once everything has been said. */
function refuse(request, response) {
  const { status, code } = fault;
  request.resume().once('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
  });
}

/** Hands a request on as it is: also the name of the host, which its signature covers. */
function pass(request, response) {
  const { method, url: path } = request;
  const options = { host: target.hostname, port: target.port, method, path, headers: request.headers, agent: false };
  const there = http.request(options, (answered) => {
    response.writeHead(answered.statusCode, answered.rawHeaders);
    answered.pipe(response);
  });
  there.on('error', () => response.destroy());
  response.on('close', () => there.destroy());
  request.pipe(there);
}

async function control(request, response) {
  let body = '';
  for await (const part of request) body += part;
  const wanted = request.url === '/fault' && body.startsWith('{') ? FAULTS[JSON.parse(body).fault] : undefined;
  fault = wanted ?? fault;
  response.writeHead(wanted ? 200 : 400, { 'content-type': 'application/json' });
  response.end(JSON.stringify(wanted ? { done: true } : { error: `allowed: ${Object.keys(FAULTS).join(', ')}` }));
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
http.createServer(control).listen(Number(process.env.GATE_CONTROL_PORT), '127.0.0.1');
http.createServer(answer).listen(Number(process.env.GATE_PORT), '0.0.0.0');
