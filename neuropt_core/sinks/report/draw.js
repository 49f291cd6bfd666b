// Scales, ticks, numbers and SVG elements. Text goes into the page as text only, never as markup.
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function el(name, attributes, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function figures(value, digits) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  const short = Number(value.toPrecision(digits));
  const text = size !== 0 && (size < 1e-4 || size >= 1e7) ? short.toExponential() : String(short);
  return text.replace(/^-/, "\u2212");
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return [low, high];
}

function quantile(sorted, share) {
  const at = (sorted.length - 1) * share, below = Math.floor(at), above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

// Adds some room, and makes a domain of a single value.
function padded([low, high], share, log) {
  if (log) {
    const by = low === high ? 1.3 : Math.pow(high / low, share);
    return [low / by, high * by];
  }
  const by = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * share;
  return [low - by, high + by];
}

function scale([low, high], [from, to], log) {
  const put = log ? Math.log : (value) => value;
  const a = put(low), b = put(high);
  const made = (value) => from + (to - from) * ((put(value) - a) / (b - a || 1));
  made.back = (at) => {
    const place = a + (b - a) * ((at - from) / (to - from || 1));
    return log ? Math.exp(place) : place;
  };
  made.ticks = (count) => (log ? logTicks(low, high, count) : linearTicks(low, high, count));
  return made;
}

function linearTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9 && found.length < 60; at += 1) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}

function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  if (decades < 0.5) return linearTicks(low, high, count).filter((value) => value > 0);
  const factors = decades > 2.5 ? [1] : decades > 1.2 ? [1, 2, 5] : [1, 2, 3, 5, 7];
  const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += every) {
    for (const factor of factors) {
      const value = Number((factor * Math.pow(10, power)).toPrecision(6));
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

// The shape of a mark says who proposed the trial, as its colour does.
function shape(kind, x, y, r) {
  const at = (points) => "M" + points.map(([dx, dy]) => `${(x + dx * r).toFixed(1)} ${(y + dy * r).toFixed(1)}`).join("L");
  switch (kind) {
    case "default": return at([[0, -1.5], [1.5, 0], [0, 1.5], [-1.5, 0]]) + "Z";
    case "prior": return at([[0, -1.25], [1.2, 0.95], [-1.2, 0.95]]) + "Z";
    case "filler": return at([[0, 1.25], [1.2, -0.95], [-1.2, -0.95]]) + "Z";
    case "surrogate": return at([[-0.95, -0.95], [0.95, -0.95], [0.95, 0.95], [-0.95, 0.95]]) + "Z";
    case "user": return at([[0, -1.2], [1.15, -0.35], [0.7, 1], [-0.7, 1], [-1.15, -0.35]]) + "Z";
    case "random": return at([[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2],
      [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]]) + "Z";
    case "cross": return at([[-0.8, -0.8], [0.8, 0.8]]) + at([[-0.8, 0.8], [0.8, -0.8]]);
    case "dash": return at([[0, -0.9], [0, 0.9]]);
    default: return `M${(x - r).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  }
}

function path(points) {
  return points.length ? "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L") : "";
}

// An empty chart of the figure's width with its axes; returns its scales and the picture to draw in.
function frame(figure, options) {
  const plot = figure.querySelector(".plot");
  plot.replaceChildren();
  const width = Math.max(220, Math.floor(figure.clientWidth - padding(figure))), height = options.height || 250;
  const digits = options.digits || 4;
  const box = { top: 24, right: options.right || 12, bottom: 34, left: 40 };
  const foot = height - box.bottom - (options.foot || 0);
  const probe = scale(options.y, [foot, box.top], options.logY);
  const yTicks = probe.ticks(height / 55);
  box.left = 14 + 6.6 * Math.max(2, ...yTicks.map((value) => figures(value, digits).length));
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" }, plot);
  const x = scale(options.x, [box.left, width - box.right]);
  const y = scale(options.y, [foot, box.top], options.logY);
  for (const value of yTicks) {
    svg("line", { x1: box.left, x2: width - box.right, y1: y(value), y2: y(value), class: "grid" }, picture);
    svg("text", { x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, picture, figures(value, digits));
  }
  const xTicks = x.ticks((width - box.left) / 75).filter((value) => !options.wholeX || Number.isInteger(value));
  for (const value of xTicks) {
    svg("text", { x: x(value), y: height - box.bottom + 17, "text-anchor": "middle" }, picture, figures(value, digits));
  }
  svg("line", { x1: box.left, x2: width - box.right, y1: height - box.bottom, y2: height - box.bottom, class: "axis" }, picture);
  svg("text", { x: width - box.right, y: height - 3, "text-anchor": "end" }, picture, options.xTitle);
  svg("text", { x: 0, y: 10 }, picture, options.yTitle);
  picture.setAttribute("aria-label", options.summary);
  return { plot, picture, x, y, width, height, box };
}

function padding(figure) {
  const style = getComputedStyle(figure);
  return parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
}

// Texts at the right end of lines, moved apart where they would lie on each other.
function labels(picture, items, low, high) {
  const sorted = items.slice().sort((a, b) => a.y - b.y);
  let last = -Infinity;
  for (const item of sorted) { item.at = Math.max(low, last + 13, item.y); last = item.at; }
  const over = Math.max(0, last - high);
  for (const item of sorted) {
    svg("text", { x: item.x, y: item.at - over + 4, class: item.kind, "text-anchor": item.anchor || "start" }, picture, item.text);
  }
}
