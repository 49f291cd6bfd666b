// What proposers expected, p10 to p90 as a whisker, against what came; on the diagonal they were right.
function drawExpected(figure) {
  forget(figure);
  const shown = scored.filter((trial) => trial.e);
  if (!shown.length) return empty(figure, "No trial with an expectation has a score yet.");
  legend(figure, shown);
  const actual = extent(shown.map((trial) => trial.v[0])), middles = extent(shown.map((trial) => trial.e[1]));
  const both = padded([Math.min(actual[0], middles[0]), Math.max(actual[1], middles[1])], 0.1);
  const inside = shown.filter((trial) => trial.e[0] <= trial.v[0] && trial.v[0] <= trial.e[2]);
  const view = frame(figure, { x: both, y: both, height: 290, digits: data.digits, xTitle: "expected", yTitle: "actual score",
    summary: `Expected against actual score of ${shown.length} trials; ${inside.length} lie within the expected range.` });
  const { picture, x, y, box, width, height } = view;
  svg("path", { d: path([[x(both[0]), y(both[0])], [x(both[1]), y(both[1])]]), class: "own" }, picture);
  const words = lessIsBetter ? ["worse than expected", "better than expected"] : ["better than expected", "worse than expected"];
  svg("text", { x: box.left + 8, y: box.top + 14 }, picture, words[0]);
  svg("text", { x: width - box.right - 6, y: height - box.bottom - 9, "text-anchor": "end" }, picture, words[1]);
  const points = [], across = (value) => Math.max(box.left, Math.min(width - box.right, x(value)));
  for (const trial of shown) {
    const at = y(trial.v[0]);
    mark(trial, svg("path", { d: `M${across(trial.e[0]).toFixed(1)} ${at.toFixed(1)}H${across(trial.e[2]).toFixed(1)}`, class: "whisker" }, picture));
  }
  for (const trial of shown) {
    const left = x(trial.e[1]), top = y(trial.v[0]), right = inside.includes(trial);
    mark(trial, svg("path", { d: shape(trial.k, left, top, 4), class: `mark ${trial.k} ${right ? "" : "hollow"}` }, picture));
    points.push({ n: trial.n, x: left, y: top });
  }
  const where = new Map(points.map((point) => [point.n, [point.x, point.y]]));
  interactive(view, () => points.map((point) => point.n), nearest(points, 36), (number) => where.get(number));
}
