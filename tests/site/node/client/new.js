// The newer generation of the client: `window.PS`.
'use strict';

class PSRoom {
  constructor(id) {
    this.id = id;
    this.connected = false;
    this.el = make('div', { class: 'ps-room', id: `room-${id}` });
    document.body.append(this.el);
  }

  receiveLine() {}

  destroy() {
    this.el.remove();
  }
}

class BattlesRoom extends PSRoom {
  constructor(id) {
    super(id);
    this.battles = null; // still loading
    const button = make('button', { class: 'button', name: 'refresh' }, 'Refresh'); // never disabled
    this.list = make('div', { class: 'list' }, make('p', {}, 'Loading...'));
    this.el.append(make('div', { class: 'pad' }, make('div', { class: 'roomlist' }, make('p', {}, button), this.list)));
    button.addEventListener('click', () => this.refresh());
    this.refresh();
  }

  refresh() {
    PS.send('/cmd roomlist ');
  }

  update(rooms) {
    this.battles = Object.entries(rooms).map(([id, battle]) => ({ id, ...battle }));
    if (!this.battles.length) return this.list.replaceChildren(make('p', {}, 'No battles are going on'));
    // Only what changed is touched, as the real client's renderer does.
    const present = new Map([...this.list.querySelectorAll('a.blocklink')].map((a) => [a.getAttribute('href').slice(1), a.parentElement]));
    const entries = this.battles.map((battle) => present.get(battle.id) || listEntry(battle.id, battle));
    const current = [...this.list.children];
    if (current.length !== entries.length || entries.some((entry, i) => entry !== current[i])) this.list.replaceChildren(...entries);
  }
}

class BattleRoom extends PSRoom {
  constructor(id) {
    super(id);
    this.battle = null; // made when the room is rendered, a moment later
    this.backlog = [];
    setTimeout(() => this.render());
  }

  render() {
    this.log = make('div', { class: 'inner message-log' });
    this.controls = make('div', { class: 'battle-controls' });
    this.el.replaceChildren(make('div', { class: 'battle' }), make('div', { class: 'battle-log' }, this.log), this.controls);
    this.battle = new Battle((line) => (line === undefined ? this.renderControls() : showLine(this.log, line)));
    this.battle.stepQueue = this.backlog.splice(0);
    this.battle.seekEnd();
  }

  reset() {
    if (!this.battle) return;
    this.battle.destroy();
    this.render();
  }

  receiveLine(args) {
    if (args[0] === 'noinit') return this.el.replaceChildren(make('h3', {}, 'Battle not found'), make('p', {}, `Battle "${this.id}" not found`));
    if (args[0] === 'initdone') return this.battle?.seekEnd();
    if (args[0] === 'title' || args[0] === 'error' || args.join('') === '') return;
    const line = `|${args.join('|')}`;
    if (this.battle) this.battle.add(line);
    else this.backlog.push(line);
  }

  renderControls() {
    if (!this.battle.ended || this.battle.shown < this.battle.stepQueue.length) return this.controls.replaceChildren();
    if (this.controls.querySelector('.replayDownloadButton')) return;
    const download = make('a', { class: 'button replayDownloadButton', href: '#' }, 'Download replay');
    download.addEventListener('click', () => {
      download.href = replayFileHref(this.battle);
      download.download = `${this.id}.html`;
    });
    const upload = make('button', { class: 'button', 'data-cmd': '/savereplay', name: 'saveReplay' }, 'Upload and share replay');
    upload.addEventListener('click', () => publishReplay(this.id));
    this.controls.replaceChildren(make('div', { class: 'controls' }, make('span', {}, download, make('br', {}), upload)));
  }

  destroy() {
    this.battle?.destroy();
    super.destroy();
  }
}

const PS = {
  rooms: {},
  prefs: PREFS,
  connected: false,
  isOffline: false,
  queue: [],

  start() {
    PS.rooms[''] = new PSRoom('');
    const id = location.pathname.slice(1);
    if (id) PS.join(id);
    PS.connect();
  },

  connect() {
    PS.isOffline = false;
    PS.connection = new WebSocket(websocketUrl());
    PS.connection.onopen = () => {
      PS.connected = true;
      document.querySelector('#reconnect')?.remove();
      for (const room of Object.values(PS.rooms)) if (room.connected === 'autoreconnect') PS.send(`/join ${room.id}`);
      for (const message of PS.queue.splice(0)) PS.connection.send(message);
    };
    PS.connection.onmessage = (event) => PS.receive(`${event.data}`);
    PS.connection.onclose = () => PS.disconnected();
  },

  /** The newer client reconnects by itself and joins its rooms again; the list it does not fetch again. */
  disconnected() {
    PS.connected = false;
    PS.isOffline = true;
    for (const room of Object.values(PS.rooms)) if (room.connected === true) room.connected = 'autoreconnect';
    if (!document.querySelector('#reconnect')) {
      document.body.append(make('div', { id: 'reconnect' }, 'You are disconnected. ', make('button', { class: 'button', 'data-cmd': '/reconnect' }, 'Reconnect')));
    }
    setTimeout(() => PS.connect(), SITE.reconnectMs);
  },

  send(message, id) {
    const full = `${id || ''}|${message}`;
    if (PS.connected) PS.connection.send(full);
    else PS.queue.push(full);
  },

  join(id) {
    if (!PS.rooms[id]) {
      PS.rooms[id] = id === 'battles' ? new BattlesRoom(id) : id.startsWith('battle-') ? new BattleRoom(id) : new PSRoom(id);
      if (id.startsWith('battle-')) PS.send(`/join ${id}`);
    }
    history.pushState(null, '', `/${id}`);
  },

  leave(id) {
    const room = PS.rooms[id];
    if (!room || !id) return;
    if (room.connected) PS.send(`/noreply /leave ${id}`);
    PS.removeRoom(room);
  },

  removeRoom(room) {
    delete PS.rooms[room.id];
    room.destroy();
  },

  renameRoom(room, id) {
    if (PS.rooms[id]) PS.removeRoom(PS.rooms[id]);
    delete PS.rooms[room.id];
    room.id = id;
    room.el.id = `room-${id}`;
    PS.rooms[id] = room;
  },

  receive(message) {
    let [id, text] = ['', message];
    if (text.startsWith('>')) [id, text] = [text.slice(1, text.indexOf('\n')), text.slice(text.indexOf('\n') + 1)];
    let isInit = false;
    for (const line of text.split('\n')) {
      const args = PS.parseLine(line);
      if (args[0] === 'init') {
        isInit = true;
        PS.init(id);
      } else if (args[0] === 'deinit') {
        if (PS.rooms[id]) PS.removeRoom(PS.rooms[id]);
      } else if (args[0] === 'noinit') {
        PS.noinit(id, args);
      } else if (id) {
        PS.rooms[id]?.receiveLine(args);
      } else {
        PS.receiveGlobal(args, line);
      }
    }
    if (isInit) PS.rooms[id]?.receiveLine(['initdone']);
  },

  init(id) {
    const room = PS.rooms[id];
    if (!room) PS.rooms[id] = new BattleRoom(id);
    else if (room.connected === 'autoreconnect') room.reset();
    PS.rooms[id].connected = true;
  },

  noinit(id, args) {
    const room = PS.rooms[id];
    if (!room) return;
    room.connected = false;
    if (args[1] === 'nonexistent' || args[1] === 'joinfailed') room.receiveLine(args);
    else if (args[1] === 'namerequired') room.receiveLine(['error', args[2]]);
    else if (args[1] === 'rename') {
      room.connected = true;
      PS.renameRoom(room, args[2]);
    }
  },

  receiveGlobal(args, line) {
    if (args[0] === 'queryresponse' && args[1] === 'roomlist') PS.rooms.battles?.update(JSON.parse(line.slice(24)).rooms);
    else if (args[0] === 'popup') PS.popup(make('p', { style: 'white-space:pre-wrap' }, line.slice(7).replace('|modal|', '').replace(/\|\|/g, '\n')));
    else if (args[0] === 'nametaken') PS.login();
  },

  parseLine(line) {
    if (!line.startsWith('|')) return ['', line];
    if (line === '|') return ['done'];
    return line.slice(1).split('|');
  },

  popup(...content) {
    const close = make('button', { class: 'button', 'data-cmd': '/close' }, 'OK');
    const overlay = make('div', { class: 'ps-overlay' }, make('div', { class: 'ps-popup' }, ...content, close));
    close.addEventListener('click', () => overlay.remove());
    document.body.append(overlay);
  },

  login() {
    PS.popup(make('form', {}, make('label', {}, 'Username: ', make('input', { name: 'username' })), make('button', { type: 'submit' }, 'Choose name')));
  },
};

window.PS = PS;
if (SITE.wall) PS.login();
else PS.start();
