// Every score in the order of the trials, the best until then, and the user's own; and two objectives against each other.
function drawHistory(figure) {
  forget(figure);
  const aim = lessIsBetter ? "less is better" : "more is better";
  if (!scored.length) return empty(figure, "No trial has a score yet.");
  legend(figure, trials);
  const values = scored.map((trial) => trial.v[0]), sorted = values.slice().sort((a, b) => a - b);
  const base = byNumber.get(data.base), own = base && base.v ? base.v[0] : null;
  // A few scores that are far worse would press all the others onto one line; they are drawn at the edge.
  const spread = quantile(sorted, 0.75) - quantile(sorted, 0.25);
  let [low, high] = extent(values);
  if (lessIsBetter) high = Math.min(high, Math.max(quantile(sorted, 0.75) + 2.5 * spread, own === null ? -Infinity : own));
  else low = Math.max(low, Math.min(quantile(sorted, 0.25) - 2.5 * spread, own === null ? Infinity : own));
  const beyond = scored.filter((trial) => trial.v[0] < low || trial.v[0] > high).length;
  const first = trials[0].n, last = trials[trials.length - 1].n;
  const view = frame(figure, { x: [first - 0.5, last + 0.5], y: padded([low, high], 0.1), wholeX: true, height: 290, right: 14, foot: 18,
    digits: data.digits, xTitle: "trial", yTitle: `score, ${aim}`,
    summary: `Best score so far over ${trials.length} trials, of which ${scored.length} have a score, from ` +
      `${figures(low, data.digits)} to ${figures(high, data.digits)}; the best is trial ${data.best}.` });
  const { picture, x, y, box, width, height } = view;
  const edge = (value) => Math.max(box.top + 4, Math.min(height - box.bottom - 22, y(Math.max(low, Math.min(high, value)))));
  if (own !== null) {
    const at = edge(own);
    svg("line", { x1: box.left, x2: width - box.right, y1: at, y2: at, class: "own" }, picture);
    svg("text", { x: width - box.right, y: at - 6, "text-anchor": "end", class: "strong" }, picture,
      `your own, ${figures(own, data.digits)}`);
  }
  const stair = [];
  let best = null;
  if (data.directions.length === 1) {
    for (const trial of scored) {
      if (trial.b || (best !== null && worth(trial) >= worth(best))) continue;
      if (best) stair.push([x(trial.n), edge(best.v[0])]);
      best = trial;
      stair.push([x(trial.n), edge(best.v[0])]);
    }
  }
  if (best) {
    stair.push([x(last), edge(best.v[0])]);
    svg("path", { d: path(stair), class: "stair" }, picture);
    const under = lessIsBetter ? 16 : -9;
    svg("text", { x: Math.min(x(best.n), width - box.right - 4), y: edge(best.v[0]) + under, class: "acc",
      "text-anchor": x(best.n) > width - 160 ? "end" : "start" }, picture, `best, ${figures(best.v[0], data.digits)} (trial ${best.n})`);
  }
  const points = [];
  for (const trial of trials) {
    if (trial.s === "running") continue;
    const has = trial.v && !trial.o, far = has && (trial.v[0] < low || trial.v[0] > high);
    const at = has ? edge(trial.v[0]) : height - box.bottom - 7;
    const kind = has ? (far ? "filler" : trial.k) : trial.s === "failed" ? "cross" : "dash";
    const d = shape(far ? (lessIsBetter ? "prior" : "filler") : kind, x(trial.n), at, has ? 4 : 3.5);
    const classes = `mark ${trial.k} ${has ? "" : `none ${trial.s}`} ${far || (has && trial.b) ? "hollow" : ""}`;
    mark(trial, svg("path", { d, class: classes }, picture));
    points.push({ n: trial.n, x: x(trial.n), y: at });
  }
  const without = trials.filter((trial) => !trial.v && trial.s !== "running").length;
  caption(figure, [best ? "Each mark is a trial; the line is the best until then." : "Each mark is a trial.",
    without ? `At the foot, without a score: failed (\u00d7) and pruned (|), ${without} in all.` : "",
    beyond ? `${beyond} far worse, hollow, ${beyond === 1 ? "lies" : "lie"} beyond the edge.` : ""]);
  const where = new Map(points.map((point) => [point.n, [point.x, point.y]]));
  interactive(view, () => points.map((point) => point.n), nearest(points, 36), (number) => where.get(number));
}

function drawPareto(figure) {
  forget(figure);
  const shown = scored.filter((trial) => trial.v.length > 1);
  if (!shown.length) return empty(figure, "No trial has its scores yet.");
  legend(figure, shown);
  const word = (place) => `score ${place + 1}, ${data.directions[place] === "minimize" ? "less" : "more"} is better`;
  const view = frame(figure, { x: padded(extent(shown.map((t) => t.v[0])), 0.08), y: padded(extent(shown.map((t) => t.v[1])), 0.1),
    height: 290, digits: data.digits, xTitle: word(0), yTitle: word(1), right: 24,
    summary: `${shown.length} trials by two scores; ${data.front.length} are on the Pareto front: ${data.front.join(", ")}.` });
  const { picture, x, y } = view;
  const front = data.front.map((number) => byNumber.get(number)).sort((a, b) => a.v[0] - b.v[0]);
  const stair = [];
  front.forEach((trial, place) => {
    if (place) {
      const corner = data.directions[0] === "minimize" ? [x(trial.v[0]), y(front[place - 1].v[1])] : [x(front[place - 1].v[0]), y(trial.v[1])];
      stair.push(corner);
    }
    stair.push([x(trial.v[0]), y(trial.v[1])]);
  });
  svg("path", { d: path(stair), class: "stair" }, picture);
  const points = shown.map((trial) => ({ n: trial.n, x: x(trial.v[0]), y: y(trial.v[1]) }));
  shown.forEach((trial, place) => {
    const { x: left, y: top } = points[place];
    mark(trial, svg("path", { d: shape(trial.k, left, top, 4.2), class: `mark ${trial.k} ${trial.b ? "hollow" : ""}` }, picture));
    if (trial.n === data.base) svg("text", { x: left + 9, y: top + 4, class: "strong" }, picture, "your own");
    if (trial.n === data.take) svg("text", { x: left + 9, y: top - 6, class: "acc" }, picture, `trial ${trial.n}`);
  });
  caption(figure, ["Each mark is a trial; the line joins those that no other beats in all objectives.",
    shown.some((trial) => trial.b) ? "Hollow: breaks a constraint." : ""]);
  const where = new Map(points.map((point) => [point.n, [point.x, point.y]]));
  interactive(view, () => shown.map((trial) => trial.n), nearest(points, 36), (number) => where.get(number));
}

function empty(figure, words) {
  figure.querySelector(".plot").replaceChildren();
  caption(figure, [words]);
}

function caption(figure, sentences) {
  figure.querySelector("figcaption").textContent = sentences.filter(Boolean).join(" ");
}
