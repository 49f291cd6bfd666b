// What all parts of the page share: the data, which trial is looked at, which are filtered out.
const data = JSON.parse(document.getElementById("data").textContent);
const trials = data.trials;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Steps are stored by their distances, values as two digits each on the metric's range.
function unfold([apart, coded], place) {
  const { low, high, log } = data.metrics[place], values = [], steps = [];
  for (let at = 0; at < coded.length; at += 2) {
    const share = (DIGITS.indexOf(coded[at]) * 64 + DIGITS.indexOf(coded[at + 1])) / 4095;
    values.push(log ? low * Math.pow(high / low, share) : low + (high - low) * share);
    const by = apart.length === 1 ? 1 : apart[steps.length];
    steps.push(steps.length ? steps[steps.length - 1] + by : apart[0]);
  }
  return [steps, values];
}

const byNumber = new Map(trials.map((trial) => [trial.n, trial]));
const rows = new Map([...document.querySelectorAll("#trials > tbody")].map((row) => [Number(row.id.slice(6)), row]));
for (const trial of trials) {
  trial.w = trial.w || trial.k;
  trial.s = rows.get(trial.n).dataset.state;
  if (trial.c) trial.c = trial.c.map(unfold);
}
const marks = new Map();
const ranges = new Map();
const tip = document.getElementById("tip");
const pickedBar = document.getElementById("picked");
let hovered = null, picked = null, redrawFilter = () => {};

const lessIsBetter = data.directions[0] === "minimize";
const scored = trials.filter((trial) => trial.v && !trial.o);
const worth = (trial) => (lessIsBetter ? trial.v[0] : -trial.v[0]);
const scoreText = (trial) => (trial.v ? trial.v.map((value) => figures(value, data.digits)).join(" / ") : "");
const sentenceOf = (trial) => rows.get(trial.n).querySelector("summary q").textContent;
const endedOf = (trial) => (rows.get(trial.n).querySelector("summary b") || {}).textContent || "";

function mark(trial, element) {
  if (!marks.has(trial.n)) marks.set(trial.n, new Set());
  marks.get(trial.n).add(element);
  element.classList.toggle("out", hiddenTrials.has(trial.n));
  element.classList.toggle("on", trial.n === (hovered === null ? picked : hovered));
  return element;
}

function forget(figure) {
  for (const set of marks.values()) for (const element of set) if (figure.contains(element)) set.delete(element);
}

function light(number, on) {
  for (const element of marks.get(number) || []) {
    element.classList.toggle("on", on);
    if (on && element.classList.contains("line")) element.parentNode.append(element);
  }
  const row = rows.get(number);
  if (row) row.classList.toggle("on", on);
}

function show() {
  const chosen = hovered === null ? picked : hovered;
  for (const number of new Set([...lit, ...(chosen === null ? [] : [chosen])])) light(number, number === chosen);
  lit = chosen === null ? [] : [chosen];
  document.body.classList.toggle("focus", chosen !== null);
}
let lit = [];

function hover(number, at) {
  if (number !== hovered) {
    hovered = number;
    show();
  }
  tip.hidden = number === null || !at;
  if (tip.hidden) return;
  const trial = byNumber.get(number);
  tip.replaceChildren(el("b", {}, headOf(trial)), el("span", {}, aboutOf(trial)), el("q", { dir: "auto" }, sentenceOf(trial)));
  const box = tip.getBoundingClientRect();
  const left = at.x + 16 + box.width > innerWidth ? at.x - box.width - 16 : at.x + 16;
  tip.style.left = `${Math.max(6, Math.min(innerWidth - box.width - 6, left))}px`;
  tip.style.top = `${Math.max(6, Math.min(innerHeight - box.height - 6, at.y + 14))}px`;
}

function headOf(trial) {
  return `Trial ${trial.n}: ${scoreText(trial) || trial.s}`;
}

function aboutOf(trial) {
  const who = trial.n === data.base ? "your own configuration" : trial.w;
  return [who, trial.v ? trial.d : endedOf(trial)].filter(Boolean).join(" · ");
}

function pick(number) {
  const before = rows.get(picked);
  if (before) { before.classList.remove("picked-row"); before.querySelector(".pin").setAttribute("aria-pressed", "false"); }
  picked = number;
  hovered = null;
  tip.hidden = true;
  show();
  pickedBar.hidden = number === null;
  if (number === null) return;
  const trial = byNumber.get(number), row = rows.get(number);
  row.classList.add("picked-row");
  row.querySelector(".pin").setAttribute("aria-pressed", "true");
  const text = el("div"), open = el("button", { type: "button" }, "Show in the table"), close = el("button", { type: "button" }, "Close");
  text.append(el("b", {}, headOf(trial)), el("span", { class: "note" }, aboutOf(trial)), el("q", { dir: "auto" }, sentenceOf(trial)));
  open.addEventListener("click", () => reveal(number));
  close.addEventListener("click", () => pick(null));
  pickedBar.replaceChildren(text, open, close);
  say(`${headOf(trial)}, ${aboutOf(trial)}`);
}

function reveal(number) {
  if (hiddenTrials.has(number)) clearFilters();
  const row = rows.get(number);
  row.querySelector("details").open = true;
  row.scrollIntoView({ block: "center" });
  row.querySelector(".pin").focus({ preventScroll: true });
}

function say(text) {
  document.getElementById("say").textContent = text;
}

// Pointer and keyboard for one chart: `near` finds the trial at a place, `place` where a trial stands in the picture.
function interactive(view, order, near, place) {
  const { plot, picture } = view;
  const title = plot.closest("figure").querySelector("h3").textContent;
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${title}. Arrow keys go from trial to trial, Enter keeps one, Escape lets it go.`);
  const local = (event) => {
    const box = picture.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  picture.onpointermove = (event) => hover(near(...local(event)), { x: event.clientX, y: event.clientY });
  picture.onpointerleave = () => hover(null);
  picture.onclick = (event) => {
    const number = near(...local(event));
    pick(number === picked ? null : number);
  };
  plot.onkeydown = (event) => {
    const shown = order().filter((number) => !hiddenTrials.has(number));
    const at = shown.indexOf(hovered === null ? picked : hovered);
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at < 0 ? shown.length - 1 : at - 1,
      ArrowUp: at < 0 ? shown.length - 1 : at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next !== undefined && shown.length) {
      event.preventDefault();
      const number = shown[(next + shown.length) % shown.length], box = picture.getBoundingClientRect(), [x, y] = place(number);
      hover(number, { x: box.left + x, y: box.top + y });
      say(`${headOf(byNumber.get(number))}, ${aboutOf(byNumber.get(number))}`);
    } else if ((event.key === "Enter" || event.key === " ") && hovered !== null) {
      event.preventDefault();
      pick(hovered);
    }
  };
  plot.onblur = () => hover(null);
}

function nearest(points, most) {
  return (x, y) => {
    let best = null, least = most * most;
    for (const point of points) {
      if (hiddenTrials.has(point.n)) continue;
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (distance < least) { least = distance; best = point.n; }
    }
    return best;
  };
}

function legend(figure, shown) {
  const list = el("ul", { class: "legend", "aria-label": "Who proposed" });
  for (const kind of new Set(shown.map((trial) => trial.k))) {
    const item = el("li");
    item.append(el("i", { class: `key ${kind}`, "aria-hidden": "true" }), kind === "default" ? "your own" : kind);
    list.append(item);
  }
  figure.querySelector(".controls").replaceChildren(list);
}
