// The older generation of the client: `window.app`.
'use strict';

const BATTLE_ID = /^battle-([a-z0-9]+)-[0-9]+(?:-[a-z0-9]+)?$/;

class Room {
  constructor(id) {
    this.id = id;
    this.el = make('div', { class: 'ps-room', id: `room-${id}` });
    document.body.append(this.el);
  }

  destroy() {
    this.el.remove();
  }
}

class MainMenuRoom extends Room {
  constructor(id) {
    super(id);
    this.el.append(make('button', { class: 'button', name: 'roomlist' }, 'Watch a battle'));
  }
}

class BattlesRoom extends Room {
  constructor(id) {
    super(id);
    this.data = null;
    this.button = make('button', { class: 'button', name: 'refresh' }, 'Refresh');
    this.list = make('div', { class: 'list' }, make('p', {}, 'Loading...'));
    this.el.append(make('div', { class: 'pad' }, make('div', { class: 'roomlist' }, make('p', {}, this.button), this.list)));
    this.button.addEventListener('click', () => this.refresh());
    app.send('/cmd roomlist');
  }

  refresh() {
    app.send('/cmd roomlist ,none,');
    this.button.disabled = true; // until the answer
  }

  offline() {
    if (!this.data) this.list.replaceChildren(make('p', {}, 'You are offline.'));
  }

  update(data) {
    this.button.disabled = false;
    this.data = data;
    const entries = Object.entries(data.rooms).filter(([id]) => BATTLE_ID.test(id)).map(([id, room]) => listEntry(id, room));
    const many = entries.length === 100 ? '+' : '';
    const title = entries.length ? `${entries.length}${many}  battles` : 'No  battles are going on right now.';
    this.list.replaceChildren(make('p', {}, title), ...entries);
  }
}

class BattleRoom extends Room {
  constructor(id, nojoin) {
    super(id);
    this.log = make('div', { class: 'inner message-log' });
    this.add = make('div', { class: 'battle-log-add' }, 'Connecting...');
    this.controls = make('div', { class: 'battle-controls', role: 'complementary' });
    this.el.append(make('div', { class: 'battle' }), make('div', { class: 'battle-log' }, this.log), this.add, this.controls);
    this.battle = new Battle((line) => (line === undefined ? this.updateControls() : showLine(this.log, line)));
    if (!nojoin) this.join();
  }

  join() {
    app.send(`/join ${this.id}`);
  }

  leave() {
    if (!this.expired) app.send(`/noreply /leave ${this.id}`);
    this.battle.destroy();
  }

  receive(data) {
    if (data.startsWith('|init|')) return this.init(data);
    for (const line of data.split('\n')) if (!line.startsWith('|title|')) this.battle.add(line);
  }

  init(data) {
    this.add.textContent = '';
    const lines = data.split('\n').slice(1);
    if (lines[0]?.startsWith('|title|')) this.title = lines.shift().slice(7);
    if (this.battle.stepQueue.length) return;
    this.battle.stepQueue = lines;
    this.battle.seekEnd();
  }

  updateControls() {
    if (!this.battle.ended || this.battle.shown < this.battle.stepQueue.length) return this.controls.replaceChildren();
    if (this.controls.querySelector('.replayDownloadButton')) return;
    const download = make('a', { href: '//replay.pokemonshowdown.com/download', class: 'button replayDownloadButton' }, 'Download replay');
    download.addEventListener('click', () => {
      download.href = replayFileHref(this.battle);
      download.download = `${this.id}.html`;
    });
    const upload = make('button', { class: 'button', name: 'saveReplay' }, 'Upload and share replay');
    upload.addEventListener('click', () => publishReplay(this.id));
    this.controls.replaceChildren(make('div', { class: 'controls' }, make('span', {}, download, make('br', {}), upload)));
  }
}

class App {
  constructor() {
    this.rooms = Object.create(null);
    this.popups = [];
    this.isDisconnected = false;
    this.sendQueue = [];
  }

  start() {
    this.rooms[''] = new MainMenuRoom('');
    const fragment = location.pathname.slice(1);
    if (fragment) this.tryJoinRoom(fragment);
    this.connect();
  }

  connect() {
    let opened = false;
    this.socket = new WebSocket(websocketUrl());
    this.socket.onopen = () => {
      opened = true;
      for (const data of this.sendQueue.splice(0)) this.socket.send(data);
    };
    this.socket.onmessage = (message) => this.receive(message.data);
    this.socket.onclose = () => this.disconnected(opened);
  }

  disconnected(opened) {
    if (this.isDisconnected) return;
    this.isDisconnected = true;
    this.rooms.battles?.offline();
    // As the real client: only when no other popup is open.
    if (opened && this.popups.length) return;
    const text = opened ? 'You have been disconnected – possibly because the server was restarted.' : 'Couldn\'t connect to server!';
    const button = make('button', { type: 'submit', class: 'button autofocus' }, make('strong', {}, opened ? 'Reconnect' : 'Retry'));
    button.addEventListener('click', () => location.reload());
    this.addPopup(make('p', {}, text), make('p', { class: 'buttonbar' }, button, make('button', { type: 'button', name: 'close' }, 'Work offline')));
  }

  send(data, room) {
    const message = `${room || ''}|${data}`;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(message);
    else this.sendQueue.push(message);
  }

  tryJoinRoom(id) {
    this.joinRoom(id);
  }

  joinRoom(id, nojoin) {
    if (!this.rooms[id]) this.addRoom(id, nojoin);
    history.pushState(null, '', `/${id}`);
    return this.rooms[id];
  }

  addRoom(id, nojoin) {
    this.rooms[id] = id === 'battles' ? new BattlesRoom(id) : id.startsWith('battle-') ? new BattleRoom(id, nojoin) : new Room(id);
  }

  removeRoom(id, alreadyLeft) {
    const room = this.rooms[id];
    if (!room || !id) return false;
    delete this.rooms[id];
    if (!alreadyLeft && room.leave) room.leave();
    room.battle?.destroy();
    room.destroy();
    return true;
  }

  renameRoom(id, newId) {
    const room = this.rooms[id];
    if (!room || this.rooms[newId]) return;
    delete this.rooms[id];
    room.id = newId;
    room.el.id = `room-${newId}`;
    this.rooms[newId] = room;
  }

  receive(message) {
    let [id, data] = ['', message];
    if (data.startsWith('>')) [id, data] = [data.slice(1, data.indexOf('\n')), data.slice(data.indexOf('\n') + 1)];
    if (data.startsWith('|init|')) {
      if (!this.rooms[id]) this.joinRoom(id, true);
    } else if (`${data}|`.startsWith('|expire|')) {
      if (this.rooms[id]) this.rooms[id].expired = true;
      return;
    } else if (`${data}|`.startsWith('|deinit|') || data.startsWith('|noinit|')) {
      return this.notInRoom(id, data);
    }
    if (id) return this.rooms[id]?.receive?.(data);
    this.receiveGlobal(data);
  }

  notInRoom(id, data) {
    if (this.rooms[id]?.expired) return;
    const [, kind, code, ...rest] = data.split('|');
    let text = rest.join('|');
    if (code === 'namerequired') return; // the real client waits for a login, silently
    if (code === 'rename') return this.renameRoom(id, rest[0]);
    this.removeRoom(id, true);
    if (code === 'nonexistent' && kind === 'noinit' && id.startsWith('battle-')) {
      text += '\n\nThe battle you\'re looking for has expired. Battles expire after 15 minutes of inactivity unless they\'re saved.';
    }
    if (text) this.addPopupMessage(text);
  }

  receiveGlobal(data) {
    if (data.startsWith('|queryresponse|roomlist|')) this.rooms.battles?.update(JSON.parse(data.slice(24)));
    else if (data.startsWith('|popup|')) this.addPopupMessage(data.slice(7).replace('|modal|', '').replace(/\|\|/g, '\n'));
    else if (data.startsWith('|nametaken|')) this.addLogin();
    // Anything else would go to the lobby, where nobody is: a throttle notice for a join is not shown at all.
  }

  addPopupMessage(text) {
    const close = make('button', { class: 'button', name: 'close' }, 'OK');
    const overlay = this.addPopup(make('p', { style: 'white-space:pre-wrap' }, text), make('p', { class: 'buttonbar' }, close));
    close.addEventListener('click', () => {
      overlay.remove();
      this.popups = this.popups.filter((popup) => popup !== overlay);
    });
  }

  addLogin() {
    this.addPopup(make('form', {}, make('label', {}, 'Username: ', make('input', { name: 'username' })), make('button', { type: 'submit' }, 'Choose name')));
  }

  addPopup(...content) {
    const overlay = make('div', { class: 'ps-overlay' }, make('div', { class: 'ps-popup' }, ...content));
    document.body.append(overlay);
    this.popups.push(overlay);
    return overlay;
  }
}

window.app = new App();
if (SITE.wall) app.addLogin();
else app.start();
