"use strict";
// Draws the answers of s2st. Texts become text nodes; nothing is parsed as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const live = data.server !== undefined;
const models = live ? data.server.models : data.models;
const PAUSE = 300; // milliseconds after the last key, before the sentence is translated
const SPECIAL = new Set(["</s>", "<s>", "<pad>"]);
// Characters that nobody sees, or that would turn the direction of what follows.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function visible(text) {
  const code = (sign) => sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return text.replace(UNSEEN, (sign) => `\u27e8U+${code(sign)}\u27e9`);
}

function make(tag, attributes, ...children) {
  const svg = ["svg", "path", "circle", "rect", "text", "title", "polyline"].includes(tag);
  const made = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function token(text) {
  return make("bdi", { translate: "no" }, visible(text));
}

function percent(logProb) {
  if (logProb === null) return "0\u00a0%";
  const share = 100 * Math.exp(logProb);
  if (share >= 99.5) return "100\u00a0%";
  if (share >= 9.95) return `${share.toFixed(0)}\u00a0%`;
  return share >= 0.1 ? `${share.toFixed(1)}\u00a0%` : "<0.1\u00a0%";
}

function bar(logProb) {
  const inner = make("i");
  inner.style.width = `${logProb === null ? 0 : 100 * Math.min(1, Math.exp(logProb))}%`;
  return make("span", { class: "bar", "aria-hidden": "true" }, inner);
}

function number(value) {
  return value === null ? "\u2212\u221e" : value.toFixed(2).replace("-", "\u2212");
}

// ---- the parts of a panel

function wordsPart(answer, panel) {
  const best = answer.hypotheses[0];
  const choices = make("div", { class: "choices", "aria-live": "polite" });
  const buttons = best.tokens.map((word, place) => {
    const probability = percent(best.token_log_probs[place]);
    const button = make(
      "button",
      { type: "button", class: "word", "aria-pressed": "false", title: probability },
      token(word),
      bar(best.token_log_probs[place]),
    );
    button.setAttribute("aria-label", `${visible(word)}, ${probability}`);
    button.addEventListener("click", () => choose(place));
    return button;
  });
  function choose(place) {
    buttons.forEach((one, index) => one.setAttribute("aria-pressed", String(index === place)));
    panel.place = place;
    choices.replaceChildren(choiceTable(answer, place, panel));
  }
  if (best.tokens.length) {
    const surest = (a, b) => (best.token_log_probs[a] <= best.token_log_probs[b] ? a : b);
    const unsure = best.tokens.map((_, place) => place).reduce(surest);
    choose(panel.place !== null && panel.place < best.tokens.length ? panel.place : unsure);
  }
  const order = answer.right_to_left ? " This model writes the last word first." : "";
  return [
    make("h3", {}, "Words and their alternatives"),
    make("p", { class: "note" },
      live
        ? `Choose a word to see what else could stand there; choose an alternative to force it.${order}`
        : `Choose a word to see what else could stand there.${order}`),
    make("ul", { class: "words" }, ...buttons.map((button) => make("li", {}, button))),
    choices,
  ];
}

function choiceTable(answer, place, panel) {
  const choice = answer.choices[place];
  const best = answer.hypotheses[0];
  const rows = choice.tokens.map((word, index) => [word, choice.log_probs[index]]);
  const chosen = best.tokens[place];
  if (!choice.tokens.includes(chosen)) rows.push([chosen, best.token_log_probs[place]]);
  return make("table", {}, make("tbody", {}, ...rows.map(([word, logProb]) => {
    const here = word === chosen;
    const forced = [...choice.prefix, word];
    const label = live && !SPECIAL.has(word)
      ? make("button", {
          type: "button", "aria-current": here ? "true" : null,
          onclick: () => panel.force(forced),
        }, token(word))
      : make("span", { class: "plain" }, token(word));
    return make("tr", { class: here ? "chosen" : null },
      make("td", {}, label),
      make("td", { class: "percent" }, percent(logProb)),
      make("td", {}, bar(logProb)));
  })));
}

function listPart(answer) {
  const rows = answer.hypotheses.map((found, index) => make("tr", {},
    make("td", { class: "number" }, String(index + 1)),
    make("td", {}, make("bdi", { dir: "auto", translate: "no" }, visible(found.text) || "(empty)"),
      found.finished ? null : make("span", { class: "note" }, " (cut at the length limit)")),
    make("td", { class: "percent" }, percent(found.log_prob)),
    make("td", { class: "number" }, number(found.score))));
  const head = make("tr", {}, make("th", { class: "number", scope: "col" }, ""),
    make("th", { scope: "col" }, "text"), make("th", { class: "number", scope: "col" }, "p"),
    make("th", { class: "number", scope: "col" }, "score"));
  return [
    make("h3", {}, "Best hypotheses"),
    make("table", { class: "list" }, make("thead", {}, head), make("tbody", {}, ...rows)),
  ];
}

function treePart(answer) {
  const nodes = answer.tree;
  const children = nodes.map(() => []);
  nodes.forEach((node, index) => { if (node.parent >= 0) children[node.parent].push(index); });
  const best = new Set();
  let at = nodes.findIndex((node) => node.rank === 0);
  for (; at >= 0; at = nodes[at].parent) best.add(at);
  function draw(index) {
    const words = [index];
    while (children[index].length === 1) {
      index = children[index][0];
      words.push(index);
    }
    const node = nodes[index];
    const end = node.score !== null;
    const share = words.reduce((sum, one) => sum + nodes[one].log_prob, 0);
    const text = make("span", {});
    words.forEach((one, i) => text.append(...(i ? [" "] : []), token(nodes[one].token)));
    if (node.rank !== null) text.append(" ", make("span", { class: "rank" }, `#${node.rank + 1}`));
    const cells = [text, make("span", { class: "percent" }, percent(share)),
      make("span", { class: "percent" }, number(end ? node.score : node.total))];
    const style = best.has(index) ? " best" : "";
    if (!children[index].length) {
      const sign = make("span", { title: end ? "complete" : "given up" }, end ? "\u25a0" : "\u00d7");
      return make("div", { class: `leaf${style}` }, sign, ...cells);
    }
    return make("details", { open: best.has(index) },
      make("summary", { class: style }, ...cells), ...children[index].map(draw));
  }
  const tree = make("div", { class: "tree" }, ...children[0].map(draw));
  const all = (open) => () => tree.querySelectorAll("details").forEach((one) => { one.open = open; });
  return [
    make("h3", {}, "Beam"),
    make("p", { class: "note" },
      "Each line: words, their probability after the words before, and the total log-probability. " +
      "\u25a0 is a complete hypothesis with its score; \u00d7 left the beam."),
    make("div", { class: "tools" },
      make("button", { type: "button", onclick: all(true) }, "Unfold all"),
      make("button", { type: "button", onclick: all(false) }, "Fold all")),
    tree,
  ];
}

function attentionPart(answer) {
  const best = answer.hypotheses[0];
  const head = make("tr", {}, make("th", { scope: "col" }, ""),
    ...answer.source_tokens.map((word) => make("th", { scope: "col", title: visible(word) }, token(word))));
  const rows = best.attention.map((weights, row) => make("tr", {},
    make("th", { scope: "row" }, token(best.tokens[row])),
    ...weights.map((weight) => {
      const cell = make("td", {}, weight >= 0.095 ? (100 * weight).toFixed(0) : "");
      cell.style.setProperty("--weight", weight.toFixed(3));
      return cell;
    })));
  return [
    make("h3", {}, "Attention"),
    make("p", { class: "note" }, "Percent of each word's attention (row) to each source word (column)."),
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Attention map" },
      make("table", { class: "map" }, make("thead", {}, head), make("tbody", {}, ...rows))),
  ];
}

function pathPart(answer) {
  const states = answer.states;
  const holder = make("div", {});
  const redraw = () => {
    const width = Math.max(280, Math.min(760, holder.clientWidth || 600));
    if (holder.dataset.width !== String(width)) {
      holder.dataset.width = width;
      holder.replaceChildren(drawPath(states, width));
    }
  };
  new ResizeObserver(redraw).observe(holder);
  holder.append(drawPath(states, 600));
  const shares = states.explained.map((share) => `${(100 * share).toFixed(0)}\u00a0%`);
  return [
    make("h3", {}, "How the state moves"),
    make("p", { class: "note" },
      "The state after each word, on its first two principal components " +
      `(${shares.join(" and ")} of the variance).`),
    holder,
    make("p", { class: "key" },
      states.source.length ? make("span", { class: "read" }, "reading the source") : null,
      make("span", { class: "written" }, "writing the translation")),
  ];
}

function drawPath(states, width) {
  const height = Math.round(Math.max(280, 0.6 * width));
  const margin = 34;
  const range = (axis) => {
    const values = states.places.map((place) => place[axis]);
    const low = Math.min(...values);
    return [low, Math.max(...values) - low || 1];
  };
  const [[x0, xs], [y0, ys]] = [range(0), range(1)];
  const points = states.places.map(([x, y]) => [
    margin + ((x - x0) / xs) * (width - 2 * margin),
    height - margin - ((y - y0) / ys) * (height - 2 * margin),
  ]);
  const names = [...states.source, ...states.target];
  const label = `Path of the state: ${names.map(visible).join(", ")}`;
  const svg = make("svg", {
    class: "path", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label,
  });
  const count = states.source.length;
  const line = (list, style) => make("polyline", {
    class: style, "stroke-width": "1.5", points: list.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "),
  });
  svg.append(line(points.slice(0, count), "read"), line(points.slice(Math.max(0, count - 1)), "written"));
  const taken = points.map(([x, y]) => [x - 5, y - 5, x + 5, y + 5]);
  const free = (box) => box[0] >= 0 && box[2] <= width && box[1] >= 0 && box[3] <= height &&
    taken.every((o) => box[2] < o[0] || box[0] > o[2] || box[3] < o[1] || box[1] > o[3]);
  points.forEach(([x, y], index) => {
    const read = index < count;
    const dot = read
      ? make("circle", { cx: x, cy: y, r: 4, class: "read-point" })
      : make("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: "written-point" });
    const step = read ? index + 1 : index - count;
    const short = [...visible(names[index])].slice(0, 16).join("");
    const text = `${step} ${short}`;
    dot.append(make("title", {}, `${step} ${visible(names[index])}`));
    svg.append(dot);
    const wide = 7.4 * [...text].length;
    const spots = [[8, 4], [-8 - wide, 4], [-wide / 2, -9], [-wide / 2, 19], [8, -8], [8, 17],
      [-8 - wide, -8], [-8 - wide, 17], [-wide / 2, -24], [-wide / 2, 33]];
    for (const [dx, dy] of spots) {
      const box = [x + dx, y + dy - 12, x + dx + wide, y + dy + 3];
      if (free(box)) {
        taken.push(box);
        svg.append(make("text", { x: x + dx, y: y + dy }, text));
        break;
      }
    }
  });
  return svg;
}

// ---- panels

class Panel {
  constructor(model) {
    this.model = model;
    this.place = null;
    this.prefix = [];
    this.force = () => {};
    const languages = model.source_lang
      ? `${model.source_lang} \u2192 ${model.target_lang}` : model.target_lang;
    const title = make("h2", {}, make("bdi", {}, visible(model.name)), " ", make("span", {}, languages));
    this.text = make("output", { class: "translation", dir: "auto", translate: "no", lang: model.target_lang || null });
    this.forced = make("div", { class: "forced" });
    this.parts = make("div", { class: "empty" });
    this.element = make("section", { class: "panel", "aria-label": model.name },
      title, this.text, this.forced, this.parts);
    this.showForced();
  }

  showForced() {
    if (!this.prefix.length) {
      this.forced.replaceChildren();
      return;
    }
    const words = make("span", { title: this.prefix.map(visible).join(" ") }, "Forced beginning: ");
    this.prefix.forEach((word, index) => words.append(...(index ? [" "] : []), token(word)));
    const free = make("button", { type: "button", onclick: () => this.force([]) }, "Remove");
    this.forced.replaceChildren(free, words);
  }

  clear() {
    this.text.replaceChildren();
    this.parts.replaceChildren();
    this.parts.className = "empty";
    this.prefix = [];
    this.place = null;
    this.showForced();
  }

  show(answer) {
    const best = answer.hypotheses[0];
    const focused = this.element.contains(document.activeElement);
    this.text.replaceChildren(visible(best.text) || "(empty)");
    this.showForced();
    const parts = answer.tree.length > 1
      ? [...wordsPart(answer, this), ...listPart(answer), ...this.picture(answer), ...treePart(answer)]
      : [];
    this.parts.className = "";
    this.parts.replaceChildren(...parts);
    if (focused) this.element.querySelector(".word[aria-pressed='true']")?.focus();
  }

  picture(answer) {
    if (answer.hypotheses[0].attention && answer.source_tokens.length) return attentionPart(answer);
    return answer.states ? pathPart(answer) : [];
  }
}

// ---- the page

const page = document.getElementById("page");
const panels = models.map((model) => new Panel(model));
const grid = make("div", { class: panels.length > 1 ? "panels several" : "panels" },
  ...panels.map((panel) => panel.element));

function startWritten() {
  page.replaceChildren(make("h1", {}, "s2st explain"),
    make("p", { class: "sentence", dir: "auto", lang: models[0].source_lang || null },
      visible(data.sentence)), grid);
  panels.forEach((panel, index) => {
    panel.prefix = data.answers[index].forced || [];
    panel.show(data.answers[index]);
  });
}

function startLive() {
  const server = data.server;
  const language = models[0].source_lang;
  const field = make("textarea", {
    id: "sentence", rows: 2, maxlength: server.max_line_length, autofocus: true, dir: "auto",
    spellcheck: "false", autocomplete: "off", lang: language || null,
  });
  const beam = make("input", { type: "number", min: 1, max: server.max_beam, value: server.beam, required: true });
  const status = make("p", { class: "status", role: "status" }, "Type a sentence.");
  const form = make("form", { class: "ask" },
    make("label", {}, language ? `Sentence (${language})` : "Sentence", field),
    make("label", {}, "Beam", beam),
    make("button", { type: "submit" }, "Translate"));
  page.replaceChildren(make("h1", {}, "s2st"), form, status, grid);

  const asked = panels.map(() => null); // the request that a panel waits for
  let timer = 0;

  function say(text, failed) {
    status.textContent = text;
    status.className = failed ? "status failed" : "status";
  }

  async function ask(index) {
    const text = field.value.replace(/\s*\n\s*/g, " ").trim();
    if (asked[index]) asked[index].abort();
    if (!text) {
      panels[index].clear();
      say("Type a sentence.", false);
      grid.classList.remove("pending");
      return;
    }
    if (!beam.checkValidity()) {
      say(`The beam must be a number from 1 to ${server.max_beam}.`, true);
      return;
    }
    const panel = panels[index];
    const mine = new AbortController();
    asked[index] = mine;
    grid.classList.add("pending");
    const started = performance.now();
    const body = { text, model: panel.model.name, beam: Number(beam.value) };
    if (panel.prefix.length) body.prefix = panel.prefix;
    try {
      const response = await fetch("explain", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body), signal: mine.signal,
      });
      const answer = await response.json();
      if (mine.signal.aborted) return;
      if (!response.ok) throw new Error(answer.error);
      panel.show(answer);
      say(`Answered in ${Math.round(performance.now() - started)} ms.`, false);
    } catch (error) {
      if (mine.signal.aborted) return;
      say(visible(String(error.message)), true);
    } finally {
      if (asked[index] === mine) asked[index] = null;
      if (asked.every((one) => one === null)) grid.classList.remove("pending");
    }
  }

  function askAll() {
    clearTimeout(timer);
    panels.forEach((panel, index) => {
      panel.prefix = [];
      panel.place = null;
      ask(index);
    });
  }

  panels.forEach((panel, index) => {
    panel.force = (words) => {
      panel.prefix = words;
      panel.place = words.length ? panel.place : null;
      ask(index);
    };
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); askAll(); });
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(askAll, PAUSE); });
  beam.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(askAll, PAUSE); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); askAll(); }
  });
  if (location.hash.length > 1) {
    field.value = new URLSearchParams(location.hash.slice(1)).get("text") || "";
    askAll();
  }
}

if (live) startLive();
else startWritten();
