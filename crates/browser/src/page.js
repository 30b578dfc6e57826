// What is done inside a page. This text is the body of a function that the driver calls with one argument: `order`,
// plain data that says what to do. `scripts` comes before it: the recipe's own scripts by name, each a function of
// an item's id. Nothing from a page or a queue ever becomes part of this text.

const order = arguments[0];
const began = performance.now();

// The property of a window that tells which load made its document.
const MARK = "__scrapefleet";

const left = () => Math.max(0, order.limit - (performance.now() - began));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cut = (text, longest) => String(text ?? "").slice(0, longest).toWellFormed();
const line = (text) => cut(String(text ?? "").slice(0, 5000).replace(/\s+/g, " ").trim(), 300);

// A promise, or a failure when the order's time has passed.
function inTime(promise, name) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("did not finish in time")), left());
  });
  return Promise.race([promise, late])
    .catch((error) => { throw new Error(`${name}: ${line(error?.message ?? error)}`); })
    .finally(() => clearTimeout(timer));
}

const run = (name, id) => inTime((async () => scripts[name](id))(), name);

// `{id}` in a selector is always meant as text, whatever it holds.
const selectorOf = (template, id) =>
  id === undefined ? template : template.replaceAll("{id}", () => CSS.escape(id));
const textOf = (template, id) => (id === undefined ? template : template.replaceAll("{id}", () => id));

// Elements in `where` that a selector finds; `where` itself counts.
function select(where, template, id) {
  const selector = selectorOf(template, id);
  const found = [...where.querySelectorAll(selector)];
  if (where.matches?.(selector)) found.unshift(where);
  return found;
}

// What a condition finds in `where`: null, or a proof and how many.
async function holds(condition, where, id) {
  if (condition.script !== undefined) {
    const value = await run(condition.script, id);
    if (!value) return null;
    return { proof: typeof value === "string" ? line(value) : "", count: typeof value === "number" ? value : 1 };
  }
  if (!where) return null;
  let found = select(where, condition.selector, id);
  if (condition.text !== undefined) {
    const text = textOf(condition.text, id);
    found = found.filter((element) => element.textContent.includes(text));
  }
  return found.length === 0 ? null : { proof: line(found[0].textContent), count: found.length };
}

// The first condition of several that holds.
async function first(conditions, where, id) {
  for (const condition of conditions) {
    const found = await holds(condition, where, id);
    if (found) return found;
  }
  return null;
}

// Resolves soon after the document changes, and after `ms` at the latest.
function change(ms) {
  return new Promise((resolve) => {
    const observer = new MutationObserver(() => done());
    const timer = setTimeout(() => done(), ms);
    const done = () => { observer.disconnect(); clearTimeout(timer); resolve(); };
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  });
}

// What is waited for now, in a word; null while nothing is, or nothing worth a word.
let awaited = null;

// What `look` sees, looking again at each change until it sees something or the time has passed; then null.
async function until(look, word = null) {
  for (;;) {
    awaited = word;
    const seen = await look();
    if (seen || left() === 0) {
      awaited = null;
      return seen || null;
    }
    // Script conditions may depend on more than the document.
    await change(Math.min(50, left()));
    await sleep(5);
  }
}

const navigation = () => performance.getEntriesByType("navigation")[0];
const here = () => ({ url: cut(location.href, 2000), status: navigation()?.responseStatus ?? 0 });
// The site says that it has no such page.
const absent = () => [404, 410].includes(here().status);

// A page that will not become what it should be: the site failed or refuses.
const hopeless = () => {
  const { url, status } = here();
  return url.startsWith("chrome-error:") || status >= 500 || [401, 403, 407, 429].includes(status);
};
const rootOf = (item) => (item.root === undefined ? document : select(document, item.root, item.id)[0]);

// Marks the document as the one of this load, so that it is noticed when another takes its place.
function mark(token) {
  Object.defineProperty(window, MARK, { value: token, configurable: true, writable: true });
}

// In a page that items share, a sign that does not name the item speaks of it only inside its root.
const names = (sign) => sign.script !== undefined || `${sign.selector}${sign.text ?? ""}`.includes("{id}");

async function gone(item, root) {
  for (const sign of item.gone) {
    const found = await holds(sign, item.shared && !names(sign) ? root : document, item.id);
    if (found) return found;
  }
  return null;
}

// Changes whenever the text of the item does: its length and a hash of its end.
function movement(root) {
  const text = root.textContent;
  let hash = 0;
  for (const char of text.slice(-2000)) hash = (Math.imul(hash, 31) + char.codePointAt(0)) | 0;
  return `${text.length}:${hash}`;
}

async function observe(item) {
  const root = rootOf(item);
  const done = root ? await holds(item.done, root, item.id) : null;
  if (done) return { root: true, done: true };
  const lost = await gone(item, root);
  if (lost) return { root: !!root, gone: lost.proof || "the recipe's sign that the item is gone" };
  if (!root) return { root: false };
  const open = item.open === undefined || !!(await holds(item.open, root, item.id));
  const progress = item.progress === undefined ? movement(root) : await run(item.progress, item.id);
  return { root: true, open, progress: line(progress) };
}

const tasks = {
  // Proof of life: an answer that cannot be an old one.
  echo: () => order.number + 1,

  // Whether the recipe's scripts are functions and its selectors selectors; run where no policy of a site forbids it.
  async check() {
    const AsyncFunction = (async () => {}).constructor;
    const wrong = [];
    for (const [name, body] of Object.entries(order.scripts)) {
      try { new AsyncFunction(body); } catch (error) { wrong.push({ name, why: line(error.message) }); }
    }
    for (const [name, selector] of Object.entries(order.selectors)) {
      try { document.querySelector(selectorOf(selector, "x")); }
      catch { wrong.push({ name, why: "not a selector: " + line(selector) }); }
    }
    return { wrong };
  },

  // After a load: waits until the page is ready, refuses, or the time has passed.
  async ready() {
    const seen = await until(async () => {
      const refuses = await first(order.unavailable, document);
      if (refuses) return { refuses: refuses.proof };
      if (await holds(order.ready, document)) return { ready: true };
      return hopeless() && {};
    });
    if (seen?.ready) mark(order.token);
    return { ...here(), ...seen };
  },

  // Opens an item: enters it where it shares a page, then waits until it is open, ended or gone.
  async open() {
    const { item } = order;
    const before = new Set();
    if (item.shared) {
      // A notice about another item may still stand there.
      for (const sign of item.gone.filter((sign) => !names(sign))) {
        if (await holds(sign, document, item.id)) before.add(sign);
      }
      await run(item.enter, item.id);
    } else {
      mark(order.token);
    }
    const fresh = item.gone.filter((sign) => !before.has(sign));
    const seen = await until(async () => {
      // A page of an error may look like anything; its status counts first.
      if (!item.shared && hopeless()) return {};
      const root = rootOf(item);
      const ended = root && !(!item.shared && absent()) && (await holds(item.done, root, item.id));
      if (ended) return { open: true };
      const lost = await first(fresh, document, item.id);
      if (lost) return { gone: lost.proof || "the recipe's sign that the item is gone" };
      if (!item.shared && absent()) return { gone: `HTTP ${here().status}` };
      if (root && (item.open === undefined || (await holds(item.open, root, item.id)))) return { open: true };
      const refuses = await first(order.unavailable, document);
      if (refuses) return { refuses: refuses.proof };
      const cutOff = await first(order.disconnected, document);
      return cutOff && { disconnected: cutOff.proof };
    });
    return { ...here(), ...seen, root: !!rootOf(item) };
  },

  // Looks at all items of this page at once.
  async probe() {
    const items = [];
    for (const item of order.items) {
      items.push(await observe(item).catch((error) => ({ error: line(error.message) })));
    }
    const marked = window[MARK] === order.token;
    const ready = marked || !order.ready || !!(await holds(order.ready, document));
    if (ready && order.adopt) mark(order.token);
    return {
      ...here(),
      marked,
      ready,
      unavailable: (await first(order.unavailable, document))?.proof,
      disconnected: (await first(order.disconnected, document))?.proof,
      reconnects: !order.reconnects || !!(await holds(order.reconnects, document)),
      throttled: (order.throttled && (await holds(order.throttled, document))?.count) || 0,
      items,
    };
  },

  // Takes the artifact: the ways in order, until one gives something.
  async take() {
    const failures = [];
    for (const way of order.ways) {
      try {
        return await takeBy(way);
      } catch (error) {
        failures.push(line(error.message));
      }
    }
    return { failures };
  },

  // Leaves an item and waits until nothing of it is in the page.
  async leave() {
    const { item } = order;
    await run(item.leave, item.id);
    if (item.root === undefined) return { left: true };
    return { left: !!(await until(() => !rootOf(item))) };
  },

  // Asks the list for its newest state, waits for the answer and reads it.
  async list() {
    const broken = await first(order.broken, document);
    if (broken) return { ...here(), broken: broken.proof };
    if (order.click !== undefined) {
      const trouble = await ask();
      if (trouble) return { ...here(), ...trouble };
    }
    const seen = await until(async () => {
      const items = select(document, order.item);
      if (items.length > 0) return { items };
      const trouble = await listTrouble();
      if (trouble) return trouble;
      return (!order.empty || (await holds(order.empty, document))) && { items: [] };
    }, "item");
    const entries = seen?.items?.slice(0, order.most).map((e) => cut(e.getAttribute(order.attribute), 500));
    const throttled = (order.throttled && (await holds(order.throttled, document))?.count) || 0;
    return { ...here(), ...seen, items: entries, throttled };
  },

  html: () => cut(document.documentElement?.outerHTML, order.longest),
};

// Why no list will come: the site refuses, the page is broken, or it is another page altogether.
async function listTrouble() {
  const refuses = await first(order.unavailable, document);
  if (refuses) return { refuses: refuses.proof };
  const breaks = await first(order.broken, document);
  if (breaks) return { broken: breaks.proof };
  return hopeless() && {};
}

// Clicks what refreshes the list and waits for the answer. Null, or what came instead of it.
async function ask() {
  const button = await until(async () => {
    const ready = select(document, order.click).find((b) => !b.disabled);
    return ready ? { ready } : listTrouble();
  }, "click");
  if (!button) throw new Error(`${selectorOf(order.click)}: no such element to click, or it stays disabled`);
  if (!button.ready) return button;
  const answer = await answered(button.ready);
  if (!answer) return { unanswered: true };
  return answer.trouble ?? null;
}

async function answered(button) {
  const answerOr = (answer) => until(async () => {
    if (await answer()) return {};
    const trouble = await listTrouble();
    return trouble && { trouble };
  }, "answer");
  if (order.answered !== undefined) {
    const before = await run(order.answered);
    button.click();
    return answerOr(async () => (await run(order.answered)) !== before);
  }
  let changed = false;
  const observer = new MutationObserver(() => { changed = true; });
  observer.observe(listRoot(), { subtree: true, childList: true, characterData: true });
  button.click();
  const answer = await answerOr(() => changed);
  observer.disconnect();
  return answer;
}

// The innermost element that holds all entries of the list.
function listRoot() {
  const items = select(document, order.item);
  let root = items[0]?.parentElement;
  while (root && !items.every((item) => root.contains(item))) root = root.parentElement;
  return root ?? document.body ?? document;
}

function one(template, item) {
  const root = rootOf(item);
  const found = root && select(root, template, item.id)[0];
  if (!found) throw new Error(`${selectorOf(template, item.id)}: not found`);
  return found;
}

// One artifact: its text, or its bytes in base64.
async function takeBy(way) {
  const { item } = order;
  if (way.download !== undefined) return download(one(way.download, item), way.download);
  const text =
    way.html !== undefined ? one(way.html, item).outerHTML
    : way.text !== undefined ? one(way.text, item).textContent
    : way.attribute !== undefined ? one(way.attribute, item).getAttribute(way.name)
    : await run(way.script, item.id);
  if (text === null || text === undefined) throw new Error(`${way.script ?? way.attribute}: gives nothing`);
  return sized(typeof text === "string" ? text : JSON.stringify(text));
}

function sized(text) {
  if (text.length > order.longest) throw new Error(`${text.length} characters, at most ${order.longest} are taken`);
  return { text: text.toWellFormed() };
}

// What a link would download. Sites fill such links in when they are clicked; the click itself goes nowhere.
async function download(link, name) {
  const stop = (event) => event.preventDefault();
  const before = link.href;
  window.addEventListener("click", stop, true);
  link.click();
  const ready = () => /^(data|blob|https?):/.test(link.href) && link.href.split("#")[0] !== location.href.split("#")[0];
  const until = Math.min(1000, left());
  for (let waited = 0; !ready() && waited < until; waited += 20) await sleep(20);
  window.removeEventListener("click", stop, true);
  if (!ready()) throw new Error(`${name}: a link to nothing (${line(before)})`);
  if (link.href.startsWith("data:")) {
    // In base64, and with every byte escaped.
    if (link.href.length > 3 * order.longest + 200) throw new Error(`${name}: more than ${order.longest} bytes`);
    return { data: link.href };
  }
  return inTime(fetched(link.href), name);
}

async function fetched(url) {
  const abort = new AbortController();
  const get = (credentials) => fetch(url, { credentials, signal: abort.signal });
  const elsewhere = new URL(url).origin !== location.origin;
  // Another origin often answers only those who show no cookies.
  const response = await get("include").catch((error) => { if (elsewhere) return get("omit"); throw error; });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const parts = [];
  let size = 0;
  const reader = response.body?.getReader();
  for (let part; reader && !(part = await reader.read()).done; ) {
    size += part.value.length;
    if (size > order.longest) { abort.abort(); throw new Error(`more than ${order.longest} bytes`); }
    parts.push(part.value);
  }
  const encoded = new FileReader();
  await new Promise((resolve, reject) => {
    encoded.onload = resolve;
    encoded.onerror = () => reject(encoded.error);
    encoded.readAsDataURL(new Blob(parts));
  });
  return { data: encoded.result };
}

// What waits long waits in short calls, so that a page that no longer answers is noticed by the next of them, and says
// between them what it waits for. The task goes on in the page between two calls, and is lost with its document.
const UNDER_WAY = "__scrapefleetTask";

async function call() {
  if (order.task !== "resume") {
    const done = (async () => tasks[order.task]())().then((value) => ({ value }), (error) => ({ error }));
    const waits = () => awaited && { for: awaited, url: here().url };
    const task = { call: order.call, done, waits };
    Object.defineProperty(window, UNDER_WAY, { value: task, configurable: true, writable: true });
  }
  const task = window[UNDER_WAY];
  if (task?.call !== order.call) return { lost: true };
  const pending = () => ({ pending: true, waits: task.waits() });
  const outcome = await Promise.race([task.done, sleep(order.slice).then(pending)]);
  if (outcome.error) throw outcome.error;
  return outcome;
}

return call();
