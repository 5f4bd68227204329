"use strict";
/* What a page does by itself: it follows its job, draws figures, sends forms and keeps a key.
   Whatever it shows it either got as HTML from the service or writes as text, never as markup. */
(() => {
  const KEY = "batchscout-key";
  const RETRY = 2000, SILENCE = 45000, GATHER = 800, REDRAW = 10000, LIST = 5000;
  const CONFIG = { displayModeBar: false, responsive: true };
  const $ = (id) => document.getElementById(id);
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  let generation = 0;

  const say = (text) => { if ($("said").textContent !== text) $("said").textContent = text; };
  const connection = (state, text) => {
    const place = $("connection");
    if (place.dataset.state === state) return;
    place.dataset.state = state;
    place.textContent = text;
  };
  // A key goes into a header, so that streams are read by fetch: EventSource can send none.
  const get = (url, { headers, ...rest } = {}) => {
    const key = sessionStorage.getItem(KEY);
    const all = key ? { ...headers, Authorization: `Bearer ${key}` } : { ...headers };
    return fetch(url, { ...rest, headers: all, cache: "no-store" });
  };
  const visible = () => new Promise((done) => {
    if (!document.hidden) return done();
    document.addEventListener("visibilitychange", done, { once: true });
  });

  // ---- events ------------------------------------------------------------------------------

  async function* eventsOf(body, alive) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = {};
        for (const line of block.split("\n")) {
          const colon = line.indexOf(": ");
          if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
        }
        if (fields.event) yield fields;
      }
    }
  }

  async function follow(main, mine) {
    let known = main.dataset.revision, lost = false;
    while (mine === generation) {
      await visible();
      // A browser opens few connections to one service: a tab that nobody sees gives its own back.
      const stop = new AbortController();
      const leave = () => { if (document.hidden) stop.abort(); };
      document.addEventListener("visibilitychange", leave);
      let timer;
      const alive = () => { clearTimeout(timer); timer = setTimeout(() => stop.abort(), SILENCE); };
      try {
        alive();
        const headers = { Accept: "text/event-stream", "Last-Event-ID": known };
        const response = await get(main.dataset.events, { headers, signal: stop.signal });
        if (response.status === 404) return finish("deleted");
        if (response.status === 401) return open();
        if (!response.ok) throw new Error(response.status);
        connection("live", lost ? "Connected again" : "Live");
        lost = false;
        for await (const one of eventsOf(response.body, alive)) {
          if (mine !== generation) return;
          if (one.id) known = one.id;
          if (one.event === "trial") showTrial(JSON.parse(one.data));
          if (one.event === "job") refresh();
          if (one.event === "end") return finish(JSON.parse(one.data).state);
        }
      } catch {
        if (!document.hidden) {
          lost = true;
          connection("lost", "Connection lost; trying again");
        }
      } finally {
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", leave);
        stop.abort();
      }
      await sleep(RETRY);
    }
  }

  async function finish(state) {
    generation += 1;
    if (state === "deleted") {
      connection("deleted", "This job was deleted; what is shown was its last state");
      return say("This job was deleted.");
    }
    connection("ended", `Ended: ${state}`);
    const { live } = $("main").dataset;
    list(live, generation);
    await swap(live);
    await figures();
  }

  // ---- parts that change -------------------------------------------------------------------

  let pending = null;
  function refresh() {
    pending ??= sleep(GATHER).then(async () => {
      pending = null;
      const before = $("progress").dataset.sentence;
      await swap($("main").dataset.live);
      const stale = Date.now() - drawnAt > REDRAW || before !== $("progress").dataset.sentence;
      if (stale) await figures();
    }).catch(() => {});
  }

  async function swap(url) {
    const response = await get(url);
    if (response.status === 401) return open();
    if (response.status === 404) return finish("deleted");
    if (!response.ok) return;
    const fresh = parse(await response.text());
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = $(part.id);
      if (!old || old.outerHTML === part.outerHTML) continue;
      const focused = old.contains(document.activeElement) ? place(document.activeElement) : null;
      old.replaceWith(part);
      if (focused) document.querySelector(focused)?.focus({ preventScroll: true });
      if (part.dataset.sentence) say(part.dataset.sentence);
    }
  }

  // Where an element is, so that its successor gets the focus.
  const place = (element) => {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const path = element.getAttribute("href");
    if (path) return `a[href="${CSS.escape(path)}"]`;
    const owner = element.closest("[data-part]");
    const index = [...owner.querySelectorAll("[tabindex], summary, button")].indexOf(element);
    return index < 0 ? null : `#${owner.id} ${element.localName}`;
  };

  const number = (value) => {
    if (typeof value !== "number") return value ?? "-";
    return Number.isInteger(value) && Math.abs(value) < 1e6
      ? String(value).replace(/\B(?=(\d{3})+$)/g, "\u00a0") : String(Number(value.toPrecision(3)));
  };

  function showTrial(trial) {
    const table = $("trial-table");
    let row = table.querySelector(`tr[data-number="${Number(trial.number)}"]`);
    if (!row) {
      if (document.querySelector("[data-more]")) return; // it comes with the next ones
      row = table.tBodies[0].insertRow();
      row.dataset.number = trial.number;
    }
    row.replaceChildren(...[...table.tHead.rows[0].cells].map((head, index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      const name = head.dataset.field;
      const exact = ["number", "micro_batch_size", "global_batch_size"].includes(name);
      cell.textContent = exact ? trial[name] : number(trial[name]);
      return cell;
    }));
  }

  async function more(link) {
    const response = await get(`${link.getAttribute("href")}&part=true`);
    if (!response.ok) return;
    const fresh = parse(`<table><tbody>${await response.text()}</tbody></table>`);
    const rows = [...fresh.querySelectorAll("tr")];
    $("trial-table").tBodies[0].append(...rows);
    const next = rows.at(-1)?.dataset.next;
    if (next) link.href = link.getAttribute("href").replace(/after=\d+/, `after=${next}`);
    else link.remove();
    rows[0]?.scrollIntoView({ block: "nearest" });
    say(`${rows.length} more trials are shown.`);
  }

  // Plotly clears some styles as attributes, which the policy forbids; as properties it may.
  const set = SVGElement.prototype.setAttribute;
  SVGElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };

  // ---- figures -----------------------------------------------------------------------------

  let drawnAt = 0, library = null;
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "200px" });

  async function figures() {
    const section = $("figures");
    if (!section?.dataset.src) return section && watch();
    const response = await get(section.dataset.src);
    if (!response.ok) return;
    drawnAt = Date.now();
    const list = $("figure-list");
    const fresh = parse(await response.text());
    const shown = [...fresh.body.children].map((part) => {
      const old = part.id && $(part.id);
      if (!old) return part;
      for (const what of ["figcaption", "script", "details .wide"]) {
        const place = old.querySelector(what), now = part.querySelector(what);
        if (place && now && place.outerHTML !== now.outerHTML) place.replaceWith(now);
      }
      return old;
    });
    if (shown.some((part, index) => list.children[index] !== part)) list.replaceChildren(...shown);
    watch();
  }

  function watch() {
    seen.disconnect();
    for (const figure of document.querySelectorAll("figure")) {
      if (figure.querySelector(".plot")) seen.observe(figure);
    }
  }

  const load = (url) => library ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = done;
    script.onerror = () => { library = null; fail(new Error("no library")); };
    document.head.append(script);
  });

  async function draw(figure) {
    const text = figure.querySelector("script").textContent;
    const style = getComputedStyle(document.documentElement);
    const colour = style.getPropertyValue("--text").trim();
    if (figure.drawn === text + colour) return;
    figure.drawn = text + colour;
    try {
      await load($("figures").dataset.plotly);
    } catch {
      figure.drawn = null;
      return;
    }
    const { data, layout } = JSON.parse(text);
    const font = { family: getComputedStyle(document.body).fontFamily, color: colour };
    const plot = figure.querySelector(".plot");
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", figure.querySelector("h3").textContent);
    await window.Plotly.react(plot, data, { ...layout, font, autosize: true }, CONFIG);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", watch);

  // ---- forms -------------------------------------------------------------------------------

  async function send(form) {
    const wrong = form.querySelector(".wrong"), area = form.querySelector("textarea");
    wrong.replaceChildren();
    area.removeAttribute("aria-invalid");
    let response;
    try {
      const headers = { "Content-Type": "application/json" };
      response = await get(form.dataset.api, { method: "POST", headers, body: area.value });
    } catch {
      return wrong.append("The service does not answer; nothing was started.");
    }
    if (response.status === 401) return open();
    const body = await response.json();
    if (response.ok) return location.assign(`${form.dataset.pages}/${body.id}`);
    area.setAttribute("aria-invalid", "true");
    const about = document.createElement("p"), list = document.createElement("ul");
    about.textContent = `${body.title}. ${body.detail}`;
    for (const error of body.errors ?? []) {
      const item = document.createElement("li");
      const range = error.pointer ? find(area.value, error.pointer) : null;
      if (range) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = error.pointer;
        button.onclick = () => { area.focus(); area.setSelectionRange(...range); };
        item.append(button, " ");
      } else if (error.pointer) item.append(`${error.pointer} `);
      item.append(error.detail);
      list.append(item);
    }
    wrong.append(about, list);
    wrong.querySelector("button")?.click();
  }

  // Where a JSON pointer leads to in a text: each name is looked for behind the one before.
  function find(text, pointer) {
    let at = 0, range = null;
    for (const token of pointer.split("/").slice(1)) {
      if (/^\d+$/.test(token)) continue;
      const name = JSON.stringify(token.replaceAll("~1", "/").replaceAll("~0", "~"));
      const found = text.indexOf(name, at);
      if (found < 0) break;
      range = [found, found + name.length];
      at = range[1];
    }
    return range;
  }

  async function copy(button) {
    const source = $(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      say("Copied.");
      button.firstChild.textContent = "Copied";
      setTimeout(() => { button.firstChild.textContent = "Copy"; }, RETRY);
    } catch {
      getSelection().selectAllChildren(source); // without leave to write: it is marked at least
      say("Marked; copy it with the keyboard.");
    }
  }

  // Get this page again with the key of this tab, or ask for one.
  async function open() {
    generation += 1;
    const response = await get(location.href, { headers: { Accept: "text/html" } });
    const fresh = parse(await response.text());
    document.title = fresh.title;
    const refused = response.status === 401 && sessionStorage.getItem(KEY);
    if (refused) sessionStorage.removeItem(KEY);
    document.body.replaceWith(fresh.body);
    if (refused) $("key-wrong").textContent = "This key is not known here, or was revoked.";
    if (response.status !== 401) start();
    else $("key").focus();
  }

  // ---- begin -------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-copy], [data-more]");
    if (!target) return;
    if (target.dataset.copy) return copy(target);
    if (!$("more")?.closest("#trials")) return;
    event.preventDefault();
    more(target);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id === "door") {
      event.preventDefault();
      sessionStorage.setItem(KEY, $("key").value.trim());
      open();
    } else if (form.dataset.post) {
      event.preventDefault();
      get(form.dataset.post, { method: "POST" }).then(refresh, refresh);
    } else if (form.dataset.api) {
      event.preventDefault();
      send(form);
    }
  });

  async function list(url, mine) {
    while (url && mine === generation) {
      await sleep(LIST);
      await visible();
      if (mine !== generation) return;
      try {
        await swap(url);
        if ($("connection").dataset.state === "lost") connection("none", "");
      } catch {
        connection("lost", "Connection lost; trying again");
      }
    }
  }

  function start() {
    const main = $("main"), mine = generation += 1;
    if ($("door")) return sessionStorage.getItem(KEY) && open();
    if (main.dataset.active === "yes") follow(main, mine);
    else list(main.dataset.refresh ?? main.dataset.live, mine);
    figures().catch(() => {});
  }
  start();
})();
