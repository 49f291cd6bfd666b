// The table: sorted by its titles, filtered by words, state and source, and by the ranges of the parallel axes.
const hiddenTrials = new Set();
const filters = Object.fromEntries(["text", "state", "source"].map((name) => [name, document.getElementById(`filter-${name}`)]));
const texts = new Map([...rows].map(([number, row]) => [number, row.textContent.toLowerCase()]));

function keeps(trial) {
  const words = filters.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (filters.state.value && trial.s !== filters.state.value) return false;
  if (filters.source.value && trial.k !== filters.source.value) return false;
  if (!words.every((word) => texts.get(trial.n).includes(word))) return false;
  for (const [place, [low, high]] of ranges) {
    const value = place < data.axes.length ? (trial.p || [])[place] : (trial.v || [])[0];
    if (value === null || value === undefined || value < low || value > high) return false;
  }
  return true;
}

function filterTrials() {
  hiddenTrials.clear();
  for (const trial of trials) if (!keeps(trial)) hiddenTrials.add(trial.n);
  for (const trial of trials) {
    const out = hiddenTrials.has(trial.n);
    rows.get(trial.n).classList.toggle("out", out);
    for (const element of marks.get(trial.n) || []) element.classList.toggle("out", out);
  }
  const left = trials.length - hiddenTrials.size;
  document.getElementById("filter-count").textContent = hiddenTrials.size ? `${left} of ${trials.length} trials` : `${trials.length} trials`;
}

function clearFilters() {
  for (const input of Object.values(filters)) input.value = "";
  ranges.clear();
  filterTrials();
  drawAll();
}

const sortKeys = {
  n: (trial) => trial.n,
  s: (trial) => trial.s,
  v: (trial) => (trial.v ? trial.v[0] : null),
  d: (trial) => (trial.v ? trial.v[0] : null),
  w: (trial) => trial.w,
  e: (trial) => trial.d || null,
  t: (trial) => (trial.t === undefined ? null : trial.t),
};

function sortBy(header) {
  const button = header.querySelector("button"), key = sortKeys[header.dataset.sort];
  const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of header.parentNode.children) other.setAttribute("aria-sort", other === header ? order : "none");
  const sign = order === "ascending" ? 1 : -1;
  const sorted = trials.slice().sort((a, b) => {
    const one = key(a), other = key(b);
    // What has no value comes last, whatever the order.
    if (one === null || other === null) return (one === null) - (other === null) || a.n - b.n;
    return sign * (one < other ? -1 : one > other ? 1 : 0) || a.n - b.n;
  });
  document.getElementById("trials").append(...sorted.map((trial) => rows.get(trial.n)));
  say(`Sorted by ${button.textContent}, ${order}`);
}

function wireTable() {
  document.getElementById("filters").hidden = false;
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const input of Object.values(filters)) input.addEventListener("input", filterTrials);
  document.getElementById("filter-clear").addEventListener("click", clearFilters);
  for (const header of document.querySelectorAll("#trials thead th")) {
    const button = el("button", { type: "button" }, header.textContent);
    header.replaceChildren(button);
    header.setAttribute("aria-sort", header.dataset.sort === "n" ? "ascending" : "none");
    button.addEventListener("click", () => sortBy(header));
  }
  for (const [number, row] of rows) {
    const pin = el("button", { type: "button", class: "pin", "aria-label": `Trial ${number}`, "aria-pressed": "false" }, number);
    row.querySelector("th").replaceChildren(pin);
    pin.addEventListener("click", () => pick(number === picked ? null : number));
    row.addEventListener("pointerenter", () => hover(number));
    row.addEventListener("pointerleave", () => hover(null));
  }
}
