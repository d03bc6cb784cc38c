// The picture that moves: query heads, the KV heads they read, a cache that grows by a token.
// Each `.gqa-moving` holds a still, which a page without scripts shows; here it is drawn over in a
// shadow root, so that no style of the page around it gets in. All bytes are worked out in `bytes`.
const TICK_MS = 600; // of a token, while it plays
const SETTLED_MS = 400; // after the last change, before it is said aloud
const still = matchMedia("(prefers-reduced-motion: reduce)");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const divisors = (n) => [...Array(n).keys()].map((i) => i + 1).filter((one) => n % one === 0);
const between = (heads) => divisors(heads).filter((n) => n > 1 && n < heads);
const arm = (heads, kv) => (kv === heads ? "MHA" : kv === 1 ? "MQA" : "GQA");
const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const kib = (n) => `${(n / 1024).toLocaleString("en-US")} KiB`;

// What the step reads that made the newest token: K and V of all tokens there are, of one layer.
function bytes({ head_dim, bytes_per_element }, kv, tokens) {
  return 2 * kv * head_dim * bytes_per_element * tokens;
}

// What all steps have read up to that token: 1 + 2 + ... + tokens of them.
function bytesSoFar(about, kv, tokens) {
  return (bytes(about, kv, 1) * tokens * (tokens + 1)) / 2;
}

function headline({ heads, kv }) {
  const kind = arm(heads, kv);
  if (kind === "MHA") return "MHA: each query head reads a KV head of its own.";
  const who = kind === "MQA" ? `all ${heads} query heads read one KV head` : `${heads / kv} query heads read each KV head`;
  return `${kind}: ${who}. A step reads 1/${heads / kv} of MHA's bytes.`;
}

function inWords(about, { heads, kv, tokens }) {
  const read = (n) => kib(bytes(about, n, tokens));
  return (
    `${headline({ heads, kv })} ${count(heads, "query head")}, ${count(kv, "KV head")}, ` +
    `${count(tokens, "token")} in the cache. This step reads ${read(kv)}; MHA ${read(heads)}, ` +
    `MQA ${read(1)}. All steps so far: ${kib(bytesSoFar(about, kv, tokens))}.`
  );
}

// Where things are, in pixels.
function places({ heads, kv }, width, most) {
  const narrow = width < 520;
  const pitch = Math.min(26, 208 / heads);
  const top = 22 + (208 - pitch * heads) / 2;
  const cache = narrow ? 104 : 196;
  return {
    query: narrow ? 22 : 34,
    head: narrow ? 84 : 168,
    cache,
    column: (width - cache - 2) / most,
    thick: pitch * 0.72,
    radius: Math.min(9, pitch * 0.36),
    size: Math.min(18, ((pitch * heads) / kv) * 0.72), // of a KV head
    ofQuery: (i) => top + pitch * (i + 0.5),
    ofHead: (j) => top + ((pitch * heads) / kv) * (j + 0.5),
  };
}

function lines({ heads, kv }, at) {
  const middle = (at.query + at.head) / 2;
  let path = "";
  for (let i = 0; i < heads; i++) {
    const [from, to] = [at.ofQuery(i), at.ofHead(Math.floor(i / (heads / kv)))];
    path += `M${at.query + at.radius},${from}C${middle},${from} ${middle},${to} ${at.head},${to}`;
  }
  return path;
}

// The upper or the lower half of some columns of one head's lane: K or V.
function cells(at, j, half, first, last) {
  const gap = at.column > 9 ? 2 : 1;
  const [width, height] = [at.column - gap, at.thick / 2 - 0.5];
  const y = at.ofHead(j) - at.thick / 2 + half * (at.thick / 2 + 0.5);
  let path = "";
  for (let n = first; n < last; n++) path += `M${at.cache + n * at.column},${y}h${width}v${height}h${-width}z`;
  return path;
}

function drawing(state, width, most, moved) {
  const at = places(state, width, most);
  const [all, newest] = [state.tokens, Math.max(0, state.tokens - 1)];
  const long = width - at.cache - 2;
  let shapes = `<path class="lines" d="${lines(state, at)}"/>`;
  for (let i = 0; i < state.heads; i++)
    shapes += `<circle class="query" cx="${at.query}" cy="${at.ofQuery(i)}" r="${at.radius}"/>`;
  for (let j = 0; j < state.kv; j++) {
    const y = at.ofHead(j) - at.thick / 2;
    shapes +=
      `<rect class="room" x="${at.cache}" y="${y}" width="${long}" height="${at.thick}"/>` +
      `<rect class="head" x="${at.head - at.size / 2}" y="${at.ofHead(j) - at.size / 2}" width="${at.size}" height="${at.size}" rx="${at.size / 6}"/>` +
      `<path class="k" d="${cells(at, j, 0, 0, newest)}"/><path class="v" d="${cells(at, j, 1, 0, newest)}"/>` +
      `<g class="newest"><path class="k" d="${cells(at, j, 0, newest, all)}"/>` +
      `<path class="v" d="${cells(at, j, 1, newest, all)}"/></g>`;
    if (moved) shapes += `<rect class="read" x="${at.cache}" y="${y}" width="${all * at.column}" height="${at.thick}"/>`;
  }
  const narrow = width < 520;
  return (
    `<text x="0" y="12">${narrow ? "queries" : "query heads"}</text>` +
    `<text x="${at.head + 9}" y="12" text-anchor="end">${narrow ? "KV" : "KV heads"}</text>` +
    `<text x="${at.cache}" y="12">cache: a column per token${narrow ? "" : ", K above, V below"}</text>` +
    `<g class="${moved ? "moved" : ""}">${shapes}</g>`
  );
}

// A slider over some values, with its name and its value above it.
function slider(name, shown, onInput) {
  const input = element("input", { type: "range", min: 0, step: 1, "aria-label": name });
  const value = element("output", { "aria-hidden": "true" });
  const label = element("div", { class: "slider" }, element("span", {}, element("span", {}, name), " ", value), input);
  input.addEventListener("input", () => onInput(Number(input.value)));
  const set = (place, last, text) => {
    input.max = last;
    input.value = place;
    input.style.setProperty("--at", `${(100 * place) / last}%`);
    value.textContent = text;
    input.setAttribute("aria-valuetext", shown(text));
  };
  return { label, set };
}

function button(name, onClick) {
  const made = element("button", { type: "button" }, name);
  made.addEventListener("click", onClick);
  return made;
}

// MHA, GQA and MQA with their bytes; the row of what is drawn is marked.
function rows(about, { heads, kv, shared, tokens }, most) {
  const number = (n, full) => {
    const bar = element("i", { style: `width: ${(100 * n) / full}%` });
    return element("td", { "data-bytes": n }, kib(n), element("span", { class: "bar" }, bar));
  };
  return [heads, shared, 1].map((n) => {
    const kind = arm(heads, n);
    const name = element("th", { scope: "row" }, element("b", {}, kind), ` ${count(n, "KV head")}`);
    const row = element("tr", { class: kind }, name);
    if (n === kv) row.setAttribute("aria-current", "true");
    row.append(
      number(bytes(about, n, tokens), bytes(about, heads, most)),
      number(bytesSoFar(about, n, tokens), bytesSoFar(about, heads, most)),
    );
    return row;
  });
}

function table() {
  const body = element("tbody");
  const head = element("tr", {}, element("th", { scope: "col" }, "in one layer"));
  for (const name of ["this step reads", "all steps so far"]) head.append(element("th", { scope: "col" }, name));
  return { body, whole: element("table", {}, element("thead", {}, head), body) };
}

class Picture {
  constructor(host) {
    this.about = JSON.parse(host.dataset.about);
    this.host = host;
    const { num_heads, num_kv_heads, tokens } = this.about;
    this.state = { heads: num_heads, kv: num_kv_heads, shared: num_kv_heads, tokens };
    this.build(host.attachShadow({ mode: "open" }));
    this.keepShared();
    host.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
    new ResizeObserver(() => this.show(false)).observe(this.svg);
    still.addEventListener("change", () => {
      this.pause();
      this.show(false);
    });
    this.show(false);
  }

  build(root) {
    const most = this.about.most_tokens;
    this.title = element("p", { class: "title" });
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("role", "img");
    this.formula = element("p", { class: "note" });
    this.said = element("p", { role: "status", class: "said" });
    this.table = table();
    this.heads = slider("Query heads", (n) => count(Number(n), "query head"), (i) => this.choose({ heads: this.about.heads[i] }));
    this.kv = slider("KV heads", (n) => count(Number(n), "KV head"), (i) => this.choose({ kv: divisors(this.state.heads)[i] }));
    this.tokens = slider("Tokens in the cache", (n) => `${n} of ${most} tokens`, (n) => this.choose({ tokens: n }));
    this.play = button("", () => this.playOrPause());
    const buttons = element("div", { class: "buttons" }, this.play, button("Step", () => this.step()), button("Reset", () => this.choose({ tokens: 0 })));
    const picture = element(
      "div",
      { class: "picture", role: "group", "aria-label": "Picture that moves: query heads share KV heads" },
      this.title,
      element("div", { class: "shape" }, this.heads.label, this.kv.label),
      this.svg,
      element("div", { class: "time" }, buttons, this.tokens.label),
      this.table.whole,
      this.formula,
      this.said,
    );
    root.append(element("style", {}, this.about.style), picture);
  }

  // A row for GQA stays while MHA or MQA is drawn: the last number of KV heads between them.
  keepShared() {
    const { heads, kv, shared } = this.state;
    const among = between(heads);
    const wanted = [kv, shared].find((n) => among.includes(n)) ?? heads / 4;
    this.state.shared = among.findLast((n) => n <= wanted) ?? among[0];
  }

  choose(change) {
    this.pause();
    const qPerKv = this.state.heads / this.state.kv;
    Object.assign(this.state, change);
    if (change.heads) {
      const kept = this.state.kv === 1 ? 1 : change.heads / qPerKv; // the same sharing, or near it
      this.state.kv = divisors(change.heads).findLast((n) => n <= Math.max(1, kept));
    }
    this.keepShared();
    this.show(false);
    this.saySoon();
  }

  step() {
    this.pause();
    this.advance();
    this.saySoon();
  }

  advance() {
    const ended = this.state.tokens >= this.about.most_tokens;
    if (!ended) this.state.tokens += 1;
    this.show(!ended && !still.matches);
  }

  playOrPause() {
    if (this.timer) {
      this.pause();
    } else if (still.matches) {
      this.state.tokens = this.about.most_tokens; // nothing moves for those who asked for that
    } else {
      if (this.state.tokens >= this.about.most_tokens) this.state.tokens = 0;
      this.timer = setInterval(() => this.tick(), TICK_MS);
    }
    this.show(false);
    if (!this.timer) this.saySoon();
  }

  tick() {
    if (this.host.isConnected) this.advance();
    if (this.host.isConnected && this.state.tokens < this.about.most_tokens) return;
    this.pause();
    this.show(false);
    this.saySoon();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  show(moved) {
    const { about, state } = this;
    const [most, of] = [about.most_tokens, divisors(state.heads)];
    const width = this.svg.clientWidth || 640;
    this.title.textContent = headline(state);
    this.svg.innerHTML = drawing(state, width, most, moved);
    this.svg.setAttribute("class", arm(state.heads, state.kv));
    this.svg.setAttribute("aria-label", inWords(about, state));
    this.heads.set(about.heads.indexOf(state.heads), about.heads.length - 1, `${state.heads}`);
    this.kv.set(of.indexOf(state.kv), of.length - 1, `${state.kv}`);
    this.tokens.set(state.tokens, most, `${state.tokens}`);
    this.play.textContent = still.matches ? "To the end" : this.timer ? "Pause" : "Play";
    this.table.body.replaceChildren(...rows(about, state, most));
    this.formula.textContent =
      `This step: 2 (K and V) × ${count(state.kv, "KV head")} × head_dim ${about.head_dim} × ` +
      `${about.bytes_per_element} bytes (${about.dtype}) × ${count(state.tokens, "token")} = ` +
      `${kib(bytes(about, state.kv, state.tokens))}, in one layer. Bytes, not time: how long ` +
      "reading them takes is for a measurement to say.";
  }

  // Once it has settled, never while it plays.
  saySoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      if (!this.timer) this.said.textContent = inWords(this.about, this.state);
    }, SETTLED_MS);
  }
}

for (const host of document.querySelectorAll(".gqa-moving")) if (!host.shadowRoot) new Picture(host);
