// What both generations of the client page share: a battle's lines, when they have been shown, and the download.
'use strict';

/** Preferences as the real client keeps them; read once, when the page loads. */
const PREFS = (() => {
  try {
    return JSON.parse(localStorage.getItem('showdown_prefs')) || {};
  } catch {
    return {};
  }
})();

/** What a player says in a battle to end every page that shows it; later pages find it in the log. */
const POISON = /^\|c\|[^|]*\|poison$/;

/** Takes all memory there is, as far as the limit of a container; where there is more than that the page only hangs. */
function exhaust() {
  const kept = [];
  for (;;) if (kept.length < 128) kept.push(new Uint8Array(1 << 26).fill(1));
}

/** The lines of a battle. They are shown turn by turn, as animations would, or at once. */
class Battle {
  constructor(onshown) {
    this.stepQueue = [];
    this.shown = 0;
    this.ended = false;
    this.onshown = onshown;
    this.timer = null;
  }

  add(line) {
    this.stepQueue.push(line);
    if (PREFS.noanim) this.seekEnd();
    else this.timer ||= setTimeout(() => this.showTurn(), SITE.turnMs);
  }

  showTurn() {
    this.timer = null;
    do this.show(); while (this.shown < this.stepQueue.length && !this.stepQueue[this.shown].startsWith('|turn|'));
    if (this.shown < this.stepQueue.length) this.timer = setTimeout(() => this.showTurn(), SITE.turnMs);
    this.onshown();
  }

  seekEnd() {
    while (this.shown < this.stepQueue.length) this.show();
    this.onshown();
  }

  show() {
    const line = this.stepQueue[this.shown++];
    if (POISON.test(line)) exhaust();
    if (line.startsWith('|win|') || line === '|tie') this.ended = true;
    this.onshown(line);
  }

  destroy() {
    clearTimeout(this.timer);
    this.onshown = () => {};
  }
}

/** What the download link becomes when it is clicked. */
function replayFileHref(battle) {
  const log = battle.stepQueue.join('\n').replace(/\//g, '\\/');
  const html = `<!DOCTYPE html>\n<meta charset="utf-8" />\n<title>Replay</title>\n<div class="wrapper replay-wrapper">\n` +
    `<script type="text/plain" class="battle-log-data">${log}</${'script'}>\n</div>\n`;
  const bytes = new TextEncoder().encode(html);
  return `data:text/plain;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

/** Publishing a replay is what a scraper must never do; the site counts it. */
function publishReplay(battleId) {
  return fetch('/~~showdown/action.php', { method: 'POST', body: new URLSearchParams({ act: 'uploadreplay', id: battleId }) });
}

/** Makes an element: attributes, then children (elements or text). */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Adds a line to a battle's visible log. HTML that the server sends is shown as HTML, as the real client does. */
function showLine(log, line) {
  const html = line.match(/^\|(?:raw|html)\|(.*)$/)?.[1];
  const row = make('div', { class: 'battle-history' });
  if (html === undefined) row.textContent = line;
  else row.innerHTML = html;
  log.append(row);
}

/** An entry of the list of battles. */
function listEntry(id, { p1, p2, minElo }) {
  const rating = minElo ? [make('small', { style: 'float:right' }, `(rated: ${minElo})`)] : [];
  return make('div', {}, make('a', { href: `/${id}`, class: 'blocklink' },
    ...rating, make('small', {}, `[${id.split('-')[1]}]`), make('br', {}),
    make('em', { class: 'p1' }, p1 || ''), ' ', make('small', { class: 'vs' }, 'vs.'), ' ', make('em', { class: 'p2' }, p2 || '')));
}

function websocketUrl() {
  return `ws://${location.host}/showdown/websocket`;
}
