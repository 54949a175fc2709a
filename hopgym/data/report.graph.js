// Building blocks of the episode browser: elements, and the graph of proof and path. It is placed
// in the page before "report.js". Every text becomes a text node.
"use strict";
const { el, cameBy, graph, draw } = (() => {
  // Elements: attributes by name, children as nodes or texts; empty ones are left out.
  const build = (make) => (tag, attributes = {}, ...children) => {
    const node = make(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children.flat(Infinity).filter(Boolean));
    return node;
  };
  const el = build((tag) => document.createElement(tag));
  const svg = build((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));

  const cameBy = (f) => f.read_step ? `read in step ${f.read_step}` : f.title_step ? `title seen in step ${f.title_step}, fact not read`
    : f.status === "found" ? "title in the question, fact not read" : "never shown";
  const SIGNS = { read: "✓", found: "◦", missed: "✗" };

  // The proof against the path: steps down the left, those that brought nothing off the line; facts
  // down the right, each joined to the step that read it, or dashed to the one that showed a title.
  const GAP = 26, TOP = 30;
  const pen = document.createElement("canvas").getContext("2d");
  let current = null;
  function graph(e) {
    current = { e, box: el("figure", { class: "graph" }) };
    return current.box;
  }
  function clipped(text, room) {
    const fits = (label) => pen.measureText(label).width <= room;
    const letters = [...text.slice(0, 120)];
    if (text.length <= 120 && fits(text)) return text;
    while (letters.length > 1 && !fits(`${letters.join("")}…`)) letters.pop();
    return `${letters.join("")}…`;
  }
  function node([x, y], name, sign, text, title, room) {
    const side = room < 0 ? -1 : 1;
    return svg("g", { class: name }, svg("title", {}, title), svg("circle", { cx: x, cy: y, r: 8 }),
      svg("text", { x, y: y + 4, "text-anchor": "middle", class: "sign" }, sign),
      svg("text", { x: x + side * 14, y: y + 4, "text-anchor": side < 0 ? "end" : "start" },
        clipped(text, Math.abs(room) - 16)));
  }
  const line = (points, name) => svg("polyline", { points: points.map((p) => p.join()).join(" "), class: name });
  function curve([x1, y1], [x2, y2], name) {
    const middle = (x1 + x2) / 2;
    return svg("path", { class: name, d: `M${x1 + 8} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - 8} ${y2}` });
  }
  function draw() {
    if (!current?.box.isConnected) return;
    const { e: { steps, facts }, box } = current;
    pen.font = `12px ${getComputedStyle(box).fontFamily}`;
    const width = Math.max(300, box.clientWidth);
    const height = TOP + GAP * (Math.max(steps.length, facts.length) - 1) + 20;
    const left = Math.round(width * 0.4), right = Math.round(width * 0.57);
    const spread = (place, count) => TOP + (count < 2 ? 0 : place * (height - TOP - 20) / (count - 1));
    const useful = steps.map((s) => s.raised || s.verdict === "supported");
    const at = steps.map((s, i) => [useful[i] ? left : left - 24, spread(i, steps.length)]);
    const path = at.filter((point, i) => useful[i]);
    const goals = facts.map((f, i) => [right, spread(i, facts.length)]);
    const branch = (i) => line([at[i], at.findLast((point, k) => k < i && useful[k]) ?? path[0]], "branch");
    const idle = steps.map((s, i) => useful[i] ? 0 : i + 1).filter(Boolean);
    const texts = facts.map((f, i) => `Fact ${i + 1}, ${f.text}: ${cameBy(f)}.`);
    if (idle.length) texts.push(`Brought nothing: step ${idle.join(", ")}.`);
    const head = (x, text) => svg("text", { x, y: 11, "text-anchor": "middle", class: "head" }, text);
    const picture = { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": texts.join(" ") };
    box.replaceChildren(svg("svg", picture,
      head(left, "path"), head(right, "proof"), line(path, "spine"), line(goals, "spine"),
      path.length > 0 && idle.map((number) => branch(number - 1)),
      facts.map((f, i) => f.title_step && curve(at[f.title_step - 1], goals[i], "led")),
      facts.map((f, i) => f.read_step && curve(at[f.read_step - 1], goals[i], "read")),
      steps.map((s, i) => node(at[i], `step ${s.verdict}`, `${i + 1}`, `${s.tool} ${s.argument}`.trim(),
        `step ${i + 1}: ${s.verdict}`, -at[i][0])),
      facts.map((f, i) => node(goals[i], `fact ${f.status}`, SIGNS[f.status], f.text, cameBy(f), width - right))));
  }

  return { el, cameBy, graph, draw };
})();
