// Draws the charts for the page's width, and wires what is left.
const CHARTS = { history: drawHistory, pareto: drawPareto, curves: drawCurves, expected: drawExpected, parallel: drawParallel };

function drawAll() {
  for (const [name, draw] of Object.entries(CHARTS)) {
    const figure = document.getElementById(name);
    if (figure) draw(figure);
  }
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page from a file may not be given the clipboard; the old way needs a selection.
    const area = el("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  say("Copied");
  setTimeout(() => { button.textContent = "Copy"; }, 1600);
}

for (const code of document.querySelectorAll("pre > code")) {
  const pre = code.parentNode, box = el("div", { class: "cmd" });
  pre.replaceWith(box);
  box.append(pre);
  if (box.nextElementSibling) continue;
  const button = el("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy");
  button.addEventListener("click", () => copy(button, code.textContent));
  box.append(button);
}
for (const pre of document.querySelectorAll("pre")) pre.tabIndex = 0;
for (const link of document.querySelectorAll("a.to")) {
  link.addEventListener("click", (event) => {
    const number = Number(link.hash.replace("#trial-", ""));
    if (!rows.has(number)) return;
    event.preventDefault();
    pick(number);
    reveal(number);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  hover(null);
  if (picked !== null) pick(null);
});
document.getElementById("without").remove();
wireTable();
filterTrials();
drawAll();
const charts = document.getElementById("charts");
let drawn = charts.clientWidth;
new ResizeObserver(() => {
  if (charts.clientWidth === drawn) return;
  drawn = charts.clientWidth;
  requestAnimationFrame(drawAll);
}).observe(charts);
