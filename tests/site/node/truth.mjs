// The ground truth: what the server itself logged of each rated battle that ended.

import * as fs from 'node:fs/promises';
import path from 'node:path';

/** All battles logged in the server's folder. A file that is being written is left for the next call. */
export async function battles(home) {
  const entries = await fs.readdir(path.join(home, 'logs'), { recursive: true });
  const files = entries.filter((name) => name.endsWith('.log.json')).sort();
  const found = await Promise.all(files.map((name) => readBattle(path.join(home, 'logs', name))));
  return found.filter(Boolean);
}

async function readBattle(file) {
  const text = await fs.readFile(file, 'utf8');
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    return null;
  }
  return {
    id: data.roomid,
    format: data.format,
    winner: data.winner || null,
    turns: data.turns,
    endType: data.endType,
    log: data.publicLog,
  };
}
