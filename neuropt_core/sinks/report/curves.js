// One line a trial for the chosen metric; the best and the user's own are named at their ends.
let metric = 0, logarithmic = null;

function drawCurves(figure) {
  forget(figure);
  const shown = trials.filter((trial) => trial.c && trial.c[metric] && trial.c[metric][0].length);
  const all = shown.flatMap((trial) => trial.c[metric][1]);
  if (!data.metrics.length || !all.length) return empty(figure, "No numbers were reported.");
  const sorted = all.slice().sort((a, b) => a - b), positive = sorted[0] > 0;
  const ratio = positive ? quantile(sorted, 0.98) / sorted[0] : 0;
  const log = positive && (logarithmic === null ? ratio > 8 : logarithmic);
  curveControls(figure, log, positive);
  // On a linear scale the first steps would press all later ones together.
  const good = data.metrics[metric].minimize;
  let [low, high] = [sorted[0], sorted[sorted.length - 1]];
  if (!log && good !== false) high = Math.max(quantile(sorted, 0.96), low);
  if (!log && good === false) low = Math.min(quantile(sorted, 0.04), high);
  const steps = extent(shown.flatMap((trial) => [trial.c[metric][0][0], trial.c[metric][0].at(-1)]));
  const name = data.metrics[metric].name;
  const view = frame(figure, { x: steps[0] === steps[1] ? padded(steps, 0.1) : steps, y: padded([low, high], 0.05, log), logY: log,
    wholeX: true, height: 290, right: 74, xTitle: "step", yTitle: cut(log ? `${name}, logarithmic` : name, 60),
    summary: `${name} over the steps of ${shown.length} trials, from ${figures(low, 4)} to ${figures(high, 4)}.` });
  const { picture, x, y, box, width, height } = view;
  const clip = svg("clipPath", { id: "curves-clip" }, picture);
  svg("rect", { x: box.left, y: box.top - 4, width: width - box.left - box.right + 4, height: height - box.top - box.bottom + 4 }, clip);
  const layer = svg("g", { "clip-path": "url(#curves-clip)" }, picture), points = [], ends = [], where = new Map();
  const rank = (trial) => (trial.n === data.take ? 2 : trial.n === data.base ? 1 : 0);
  for (const trial of shown.slice().sort((a, b) => rank(a) - rank(b))) {
    const [at, values] = trial.c[metric];
    const line = at.map((step, place) => [x(step), y(values[place])]);
    const role = trial.n === data.take ? "best" : trial.n === data.base ? "base" : trial.s;
    const d = line.length === 1 ? shape("llm", ...line[0], 2) : path(line);
    mark(trial, svg("path", { d, class: `line ${role}` }, layer));
    for (const [left, top] of line) points.push({ n: trial.n, x: left, y: top });
    const end = line[line.length - 1];
    where.set(trial.n, end);
    if (role === "best" || role === "base") {
      const yours = trial.n === data.base;
      ends.push({ x: end[0] + 5, y: end[1], text: yours ? "your own" : `trial ${trial.n}`, kind: yours ? "strong" : "acc" });
    }
  }
  labels(picture, ends, box.top, height - box.bottom);
  caption(figure, [`${shown.length} trials; thick: trial ${data.take === null ? "\u2013" : data.take}, the recommended one; dotted: pruned or failed.`,
    data.hiddenMetrics ? `${data.hiddenMetrics} more reported, not shown here.` : ""]);
  interactive(view, () => shown.map((trial) => trial.n), nearest(points, 26), (number) => where.get(number));
}

function curveControls(figure, log, positive) {
  const choose = el("select", { "aria-label": "Metric" });
  data.metrics.forEach((item, place) => choose.append(new Option(cut(item.name, 40), String(place), false, place === metric)));
  choose.onchange = () => { metric = Number(choose.value); logarithmic = null; drawCurves(figure); figure.querySelector("select").focus(); };
  const toggle = el("button", { type: "button", "aria-pressed": String(log) }, "log");
  toggle.title = "Logarithmic scale";
  toggle.disabled = !positive;
  toggle.onclick = () => { logarithmic = !log; drawCurves(figure); figure.querySelector(".controls button").focus(); };
  figure.querySelector(".controls").replaceChildren(choose, toggle);
}
