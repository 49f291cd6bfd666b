// Parallel coordinates: an axis for each parameter and one for the score; a dragged range keeps the trials that cross it.
function drawParallel(figure) {
  forget(figure);
  const shown = trials.filter((trial) => trial.p && !trial.o);
  if (!data.axes.length || shown.length < 2) return empty(figure, "Parameters show once two trials differ.");
  const values = scored.map((trial) => trial.v[0]);
  const axes = data.axes.map((axis, place) => ({ ...axis, of: (trial) => trial.p[place] }));
  if (values.length) {
    const [low, high] = extent(values);
    axes.push({ name: "score", low, high, score: true, of: (trial) => (trial.v ? trial.v[0] : null) });
  }
  const height = 330, top = 46, bottom = height - 26, plot = figure.querySelector(".plot");
  const width = Math.max(Math.floor(figure.clientWidth - padding(figure)), axes.length * 92);
  plot.replaceChildren();
  brushes = [];
  const best = byNumber.get(data.take);
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${shown.length} trials across ${axes.map((axis) => axis.name).join(", ")}.` }, plot);
  const left = (place) => 34 + (place * (width - 34 - 58)) / Math.max(1, axes.length - 1);
  for (const axis of axes) axis.y = axisScale(axis, top, bottom);
  const order = shown.filter((trial) => trial.v).sort((a, b) => worth(a) - worth(b));
  const leaders = new Set(order.slice(0, Math.max(1, Math.ceil(order.length / 5))).map((trial) => trial.n));
  const layer = svg("g", {}, picture), lines = new Map();
  const rank = (trial) => (trial.n === data.take ? 3 : trial.n === data.base ? 2 : leaders.has(trial.n) ? 1 : 0);
  for (const trial of shown.slice().sort((a, b) => rank(a) - rank(b))) {
    const line = [];
    axes.forEach((axis, place) => {
      const value = axis.of(trial);
      if (value !== null && value !== undefined) line.push([left(place), axis.y(value), place]);
    });
    if (line.length < 2) continue;
    const role = ["", "q0", "base", "best"][rank(trial)];
    mark(trial, svg("path", { d: path(line), class: `line ${role || trial.s}` }, layer));
    lines.set(trial.n, line);
  }
  axes.forEach((axis, place) => drawAxis(picture, axis, place, left, top, bottom));
  const near = (x, y) => {
    let found = null, least = 14;
    for (const [number, line] of lines) {
      if (hiddenTrials.has(number)) continue;
      for (let i = 1; i < line.length; i += 1) {
        const [x0, y0] = line[i - 1], [x1, y1] = line[i];
        if (x < x0 || x > x1) continue;
        const away = Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0 || 1) - y);
        if (away < least) { least = away; found = number; }
      }
    }
    return found;
  };
  caption(figure, ["Each line is a trial: blue the best fifth, thick the recommended one, dashed your own. Drag along an axis to keep the trials that cross it there.",
    data.hiddenAxes ? `The axes are the ${data.axes.length} most important; ${data.hiddenAxes} more are in the table.` : ""]);
  parallelControls(figure, axes);
  interactive({ plot, picture }, () => order.map((trial) => trial.n), near, (number) => (lines.get(number) || [[0, 0]]).at(-1));
  if (best) svg("text", { x: left(axes.length - 1) + 9, y: axes.at(-1).y(best.v[0]) + 4, class: "acc" }, picture, `trial ${best.n}`);
}

function axisScale(axis, top, bottom) {
  if (axis.choices) return scale([0, Math.max(1, axis.choices.length - 1)], [bottom, top]);
  return scale(axis.low === axis.high ? padded([axis.low, axis.high], 0.1, axis.log) : [axis.low, axis.high], [bottom, top], axis.log);
}

function drawAxis(picture, axis, place, left, top, bottom) {
  const x = left(place), most = Math.max(6, Math.floor((left(1) - left(0)) / 7.4));
  svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "axis" }, picture);
  const parts = axis.name.split("."), short = parts.length > 1 ? parts.slice(-1)[0] : axis.name;
  const name = svg("text", { x, y: 26, "text-anchor": "middle", class: "strong" }, picture, cut(short, most));
  svg("title", {}, name, axis.name);
  if (parts.length > 1) svg("text", { x, y: 12, "text-anchor": "middle" }, picture, cut(parts.slice(0, -1).join("."), most));
  const ticks = axis.choices ? names(axis.choices).map((choice, at) => [at, cut(choice, 10)])
    : [axis.high, axis.low].map((value) => [value, figures(value, axis.score ? data.digits : 3)]);
  for (const [value, text] of ticks) {
    const label = { x: x - 6, y: axis.y(value) + 4, "text-anchor": "end" };
    if (!axis.choices) Object.assign(label, { x, y: value === axis.high ? top - 6 : bottom + 14, "text-anchor": "middle" });
    else if (place === 0) Object.assign(label, { x: x + 6, "text-anchor": "start" });
    svg("text", label, picture, text);
  }
  const brush = svg("rect", { x: x - 9, width: 18, y: 0, height: 0, class: "brush" }, picture);
  const grip = svg("rect", { x: x - 13, width: 26, y: top - 4, height: bottom - top + 8, class: "grip" }, picture);
  const draw = () => {
    const range = ranges.get(place);
    const ends = range ? [axis.y(range[0]), axis.y(range[1])] : [0, 0];
    brush.setAttribute("y", Math.min(...ends));
    brush.setAttribute("height", Math.abs(ends[0] - ends[1]));
  };
  draw();
  brushes.push(draw);
  brushing(picture, grip, axis, place, top, bottom, draw);
}

function brushing(picture, grip, axis, place, top, bottom, draw) {
  let from = null;
  const height = (event) => Math.max(top, Math.min(bottom, event.clientY - picture.getBoundingClientRect().top));
  grip.addEventListener("pointerdown", (event) => {
    from = height(event);
    grip.setPointerCapture(event.pointerId);
    hover(null);
  });
  grip.addEventListener("pointermove", (event) => {
    if (from === null) return;
    event.stopPropagation();
    const [low, high] = [from, height(event)].sort((a, b) => b - a);
    // A little more on both sides, so that a drag to the end of an axis takes what lies there.
    if (low - high > 4) { ranges.set(place, [axis.y.back(low + 3), axis.y.back(high - 3)]); draw(); filterTrials(); }
  });
  grip.addEventListener("pointerup", (event) => {
    if (from !== null && Math.abs(height(event) - from) <= 4) { ranges.delete(place); draw(); filterTrials(); }
    from = null;
    redrawFilter();
  });
  grip.addEventListener("click", (event) => event.stopPropagation());
}

// The same by keyboard, or by finger: an axis and two bounds.
function parallelControls(figure, axes) {
  const axisChoice = el("select", { "aria-label": "Parameter to filter by" });
  axes.forEach((axis, place) => axisChoice.append(new Option(cut(axis.name, 40), String(place), false, place === axisAt)));
  const bounds = el("span", { class: "controls" }), clear = el("button", { type: "button" }, "Clear");
  const keep = () => { filterTrials(); for (const draw of brushes) draw(); };
  const set = (low, high) => { ranges.set(axisAt, [low, high]); keep(); };
  const build = () => {
    const axis = axes[axisAt] || axes[0], range = ranges.get(axisAt);
    if (axis.choices) {
      const choose = el("select", { "aria-label": "Value" });
      choose.append(new Option("any", ""), ...axis.choices.map((text, at) => new Option(cut(text, 40), String(at))));
      const only = range ? axis.choices.findIndex((_, at) => at >= range[0] && at <= range[1]) : -1;
      choose.value = only < 0 ? "" : String(only);
      choose.onchange = () => {
        if (choose.value === "") { ranges.delete(axisAt); keep(); }
        else set(Number(choose.value) - 0.3, Number(choose.value) + 0.3);
      };
      bounds.replaceChildren(choose);
    } else {
      const inputs = ["from", "to"].map((word, end) => {
        const input = el("input", { type: "number", step: "any", "aria-label": `${axis.name} ${word}` });
        input.placeholder = figures([axis.low, axis.high][end], 3);
        if (range) input.value = Number(range[end].toPrecision(3));
        input.onchange = () => set(Number(inputs[0].value || axis.low), Number(inputs[1].value || axis.high));
        return input;
      });
      bounds.replaceChildren(inputs[0], "to", inputs[1]);
    }
  };
  axisChoice.onchange = () => { axisAt = Number(axisChoice.value); build(); };
  clear.onclick = () => { ranges.clear(); keep(); build(); };
  redrawFilter = build;
  build();
  const label = el("label", {}, "Keep trials with ");
  label.append(axisChoice);
  figure.querySelector(".controls").replaceChildren(label, bounds, clear);
}
let axisAt = 0, brushes = [];

// Of dotted paths (torch.optim.SGD) the last parts, where these tell them apart.
function names(choices) {
  const last = choices.map((choice) => (/^[A-Za-z_][\w.]*$/.test(choice) ? choice.split(".").pop() : choice));
  return new Set(last).size === choices.length ? last : choices;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}\u2026` : text;
}
