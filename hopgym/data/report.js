// The episode browser of a report. Every text of a model or a tool becomes a text node: no markup
// is ever made from one, and links lead to a "#" of this page alone. "report.graph.js" stands above.
(() => {
  const PAGE = 100;
  const data = JSON.parse(document.getElementById("data").textContent);
  const [browser, list, detail, search, status] =
    ["browser", "list", "detail", "search", "status"].map((id) => document.getElementById(id));
  document.documentElement.classList.add("js");

  // Where the episodes come from: the page itself, or the server that gave it.
  const haystacks = new Map();
  function haystack(e) {
    if (!haystacks.has(e)) {
      const steps = e.steps.flatMap((s) => [s.thought, s.tool, s.argument, s.observation.map((p) => p[0]).join("")]);
      haystacks.set(e, [e.head.question, e.task, e.error, ...steps].join("\n").toLowerCase());
    }
    return haystacks.get(e);
  }
  function matches(e, { text, start, ...chosen }) {
    return Object.entries(chosen).every(([name, value]) => [e.head.labels[name]].flat().includes(value))
      && (text || "").toLowerCase().split(/\s+/).every((word) => haystack(e).includes(word));
  }
  const byKey = new Map(data.episodes.map((e) => [e.head.key, e]));
  const inPage = {
    async episodes(query) {
      const found = data.episodes.filter((e) => matches(e, query));
      return { total: found.length, heads: found.slice(query.start, query.start + PAGE).map((e) => e.head) };
    },
    async episode({ key }) { return byKey.get(key) ?? null; },
  };
  const ask = (path) => async (query) => {
    const reply = await fetch(`${path}?${new URLSearchParams(query)}`);
    if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
    return reply.json();
  };
  const store = data.remote ? { episodes: ask("episodes"), episode: ask("episode") } : inPage;

  // The list.
  const selects = data.filters.map((filter) => {
    const all = el("option", { value: "" }, `${filter.title}: all`);
    const options = filter.options.map((value) => el("option", { value }, value));
    const select = el("select", { "aria-label": filter.title, name: filter.name }, all, ...options);
    select.addEventListener("change", () => {
      const other = select.name === "run" && select.value && select.value !== shown;
      if (opened && other) leave();
      refresh();
    });
    if (filter.options.length > 1) document.getElementById("filters").append(select);
    return select;
  });
  const more = el("button", { type: "button", class: "more" }, "Show more");
  more.addEventListener("click", () => load(rows().length));
  const rows = () => [...list.querySelectorAll("a")];
  const keyOf = (link) => link.getAttribute("href").slice(1);
  let total = 0, requests = 0, opened = "", shown = "", selected = -1;

  function row(head) {
    const { run, hops, kind } = head.labels;
    const about = [data.filters[0].options.length > 1 && run, kind, hops, head.length, head.attempt];
    return el("li", {}, el("a", { href: `#${head.key}` },
      el("i", { class: `v ${head.tone}` }, head.labels.reason), " ",
      el("span", { class: "q" }, head.question), " ",
      el("small", {}, el("bdi", {}, about.filter(Boolean).join(" · ")))));
  }
  async function load(start) {
    const request = ++requests;
    const query = { start };
    if (search.value.trim()) query.text = search.value.trim();
    for (const select of selects) if (select.value) query[select.name] = select.value;
    try {
      const found = await store.episodes(query);
      if (request !== requests) return;
      if (!start) { list.replaceChildren(); list.scrollTop = 0; selected = -1; }
      more.remove();
      total = found.total;
      list.append(...found.heads.map(row));
      if (!total) list.append(el("li", { class: "none" }, "No episode matches."));
      if (rows().length < total) list.append(el("li", {}, more));
      const available = data.remote ? data.total : data.episodes.length;
      const narrowed = total === available ? "" : ` of ${available.toLocaleString("en")}`;
      status.textContent = `${total.toLocaleString("en")}${narrowed} episode${available === 1 ? "" : "s"}`;
      mark(opened);
    } catch (error) {
      if (request === requests) status.textContent = `The list is not available: ${error.message}.`;
    }
  }
  function refresh() { return load(0); }
  function mark(key) {
    rows().forEach((link, place) => {
      const here = keyOf(link) === key;
      link.setAttribute("aria-current", String(here));
      if (here) selected = place;
    });
  }
  async function move(by) {
    const focused = rows().indexOf(document.activeElement);
    const target = Math.max(0, (focused < 0 ? selected : focused) + by);
    if (target >= rows().length && rows().length < total) await load(rows().length);
    const link = rows()[Math.min(target, rows().length - 1)];
    if (!link) return;
    selected = rows().indexOf(link);
    link.focus();
    if (!opened || keyOf(link) === opened) return;
    history.pushState(null, "", `#${keyOf(link)}`);
    show(keyOf(link), false);
  }

  // One episode.
  async function show(key, focus) {
    opened = key;
    shown = "";
    browser.classList.toggle("open", Boolean(key));
    mark(key);
    if (!key) return detail.replaceChildren(el("p", { class: "none" }, "Choose an episode."));
    let content, run = "";
    try {
      const e = await store.episode({ key });
      run = e?.head.labels.run ?? "";
      content = e ? episode(e) : [el("p", { class: "none" }, "This report holds no such episode.")];
    } catch (error) {
      content = [el("p", { class: "none" }, `The episode is not available: ${error.message}.`)];
    }
    if (opened !== key) return;
    shown = run;
    const back = el("button", { type: "button", class: "back" }, "← Back to the list");
    back.addEventListener("click", close);
    detail.replaceChildren(back, ...content);
    detail.scrollTop = 0;
    draw();
    if (!focus) return;
    detail.querySelector("h3")?.focus({ preventScroll: true });
    // Whole where it fits; on a phone, where it takes the place of the list, from its start.
    browser.scrollIntoView({ block: getComputedStyle(back).display === "none" ? "nearest" : "start" });
  }
  function close() {
    const place = selected;
    leave();
    rows()[place]?.focus();
  }
  function leave() {
    history.replaceState(null, "", location.pathname + location.search);
    show("", false);
  }
  function fromHash() {
    const key = location.hash.slice(1);
    show(key === "episodes" ? "" : key, true);  // That one leads to the list.
  }
  const tag = (text, kind) => text && el("i", { class: `v ${kind}` }, text);
  const none = (text) => el("span", { class: "none" }, text);
  const answers = (a, otherwise) => [
    a.items.length ? a.items.map((item, i) => [i ? a.separator : "", el("b", {}, item)]) : none(otherwise),
    a.more ? el("small", {}, ` and ${a.more} more`) : "",
  ];
  const term = (name, ...content) => [el("dt", {}, name), el("dd", {}, ...content)];
  const pieces = (parts) => parts.map(([text, kind]) => {
    if (kind === "evidence") return el("mark", { title: "evidence" }, text);
    if (kind === "lead") return el("mark", { class: "lead", title: "title of an evidence page" }, text);
    return kind ? el("small", {}, text) : text;
  });
  function episode(e) {
    const { run, hops, kind, reason } = e.head.labels;
    const about = [run, kind, hops, e.head.length, e.head.attempt, e.tokens].filter(Boolean).join(" · ");
    const hop = (h) => el("li", {}, el("bdi", {}, h.text), " → ", answers(h.answers, "none"));
    const closest = e.proofs > 1 ? el("small", {}, `The closest of ${e.proofs} proofs.`) : "";
    return [
      el("h3", { tabindex: "-1" }, e.head.question),
      el("p", { class: "about" }, tag(reason, e.head.tone), el("bdi", {}, about)),
      el("dl", {},
        term("expected", answers(e.expected, "no answer is known")),
        term("answer", e.answer === null ? none(e.meaning) : el("b", {}, e.answer), " ", el("small", {}, `F1 ${e.f1}`)),
        e.error ? term("error", el("span", { class: "mono" }, e.error)) : [],
        e.hops.length ? term("hops", el("ol", {}, e.hops.map(hop))) : [],
        e.facts.length ? term("proof", el("ul", { class: "facts" }, e.facts.map(fact)), closest) : [],
        term("task", el("span", { class: "mono" }, e.task))),
      e.facts.length ? graph(e) : "",
      el("ol", { class: "steps", "aria-label": "steps" }, e.steps.map(step)),
    ].filter(Boolean);
  }
  const fact = (f) => el("li", { class: f.status }, el("bdi", {}, f.text), " ", el("small", {}, cameBy(f)));
  function step(s, place) {
    const known = s.potential !== null;
    const values = [s.reward, known && `potential ${s.potential.toFixed(2)}`].filter(Boolean).join(" · ");
    const shown = { tabindex: "0", role: "region", "aria-label": `what step ${place + 1} showed` };
    return el("li", {},
      el("p", {}, el("b", {}, `${place + 1}`), tag(s.verdict, s.verdict), s.notes.map((note) => tag(note, "note")),
        el("span", {}, values), known && el("progress", { value: s.potential, "aria-hidden": "true" })),
      s.thought && el("div", { class: "thought", role: "note", "aria-label": "thought" }, s.thought),
      el("code", { role: "group", "aria-label": s.tool ? "action" : "text without a call" },
        s.tool && [el("b", {}, s.tool), " "], s.argument),
      s.observation.length > 0 && el("pre", shown, pieces(s.observation)));
  }

  new ResizeObserver(draw).observe(detail);

  // Keys, colours, and news of the figures.
  function endSearch() {
    search.value = "";
    search.blur();
    refresh();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input, select, textarea");
    const inList = list.contains(event.target);
    const act = {
      "/": !typing && (() => { search.focus(); search.select(); }),
      j: !typing && (() => move(1)),
      k: !typing && (() => move(-1)),
      ArrowDown: (inList || event.target === search) && (() => move(1)),
      ArrowUp: inList && (() => move(-1)),
      Enter: event.target === search && (() => { selected = -1; move(1); }),
      Escape: event.target === search ? endSearch : opened && close,
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, data.remote ? 200 : 60); });
  document.getElementById("clear").addEventListener("click", () => {
    search.value = "";
    for (const select of selects) select.value = "";
    refresh();
  });
  const theme = document.getElementById("theme"), root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const tell = () => theme.setAttribute("aria-pressed", String(isDark()));
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("hopgym-colours", root.dataset.theme); } catch { /* The choice is not stored. */ }
    tell();
  });
  try {
    const stored = localStorage.getItem("hopgym-colours");
    if (stored === "dark" || stored === "light") root.dataset.theme = stored;
  } catch { /* Browsers may refuse storage to a local file. */ }
  system.addEventListener("change", tell);
  tell();
  const idle = () => !opened && !search.value && selects.every((select) => !select.value);
  async function lookForFigures() {
    const notice = document.getElementById("notice");
    try {
      if ((await ask("state")({})).working) setTimeout(lookForFigures, 500);
      else if (idle()) location.reload();
      else notice.replaceChildren(el("a", { href: "" }, "The figures are there: show them."));
    } catch {
      notice.textContent = "The server has ended: hopgym view starts it again.";
    }
  }
  if (data.working) lookForFigures();
  addEventListener("hashchange", fromHash);
  refresh();
  show("", false);
  if (location.hash.length > 1) fromHash();
})();
