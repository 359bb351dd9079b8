// What the page has seen of append rate and lag, as two lines over time.

import { $, count, figure, write } from "./dom.js";

/** Seconds that a plot shows. */
const SHOWN = 300;
const WIDTH = 600;
const HEIGHT = 96;
const LEFT = 44;
const samples = [];

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The next round number at or above `n`: 1, 2 or 5 times a power of ten. */
function round(n) {
  const power = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= n);
}

function draw(id, field) {
  const plot = $(id);
  const now = samples.at(-1).at;
  const width = Math.max(plot.clientWidth, 200) || WIDTH;
  const top = round(Math.max(...samples.map((sample) => sample[field]), 1));
  const x = (at) => LEFT + (width - LEFT) * (1 - (now - at) / SHOWN);
  const y = (value) => HEIGHT - 16 - (HEIGHT - 24) * (value / top);
  const points = samples.map((sample) => `${x(sample.at).toFixed(1)},${y(sample[field]).toFixed(1)}`);
  const parts = [0, top / 2, top].flatMap((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value)),
  ]);
  for (const minutes of [4, 3, 2, 1]) {
    parts.push(svg("text", { x: x(now - minutes * 60), y: HEIGHT - 2, "text-anchor": "middle" }, `−${minutes} min`));
  }
  const first = x(samples[0].at).toFixed(1);
  parts.push(svg("polygon", { class: "area", points: `${first},${y(0)} ${points.join(" ")} ${width},${y(0)}` }));
  parts.push(svg("polyline", { class: "line", points: points.join(" ") }));
  plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  plot.replaceChildren(...parts);
}

/** Takes a sample and draws anew; the append rate since the sample before. */
export function sample(head, lag) {
  const at = performance.now() / 1000;
  const before = samples.at(-1);
  const rate = before ? Math.max(0, (head - before.head) / Math.max(at - before.at, 0.001)) : 0;
  samples.push({ at, head, lag, rate });
  while (samples.length > 2 && samples[1].at < at - SHOWN) samples.shift();
  draw("rate-plot", "rate");
  draw("lag-plot", "lag");
  const most = (field) => Math.max(...samples.map((one) => one[field]));
  write($("rate-summary"), `Now ${figure(rate)}, at most ${figure(most("rate"))} since this page looks.`);
  write($("lag-summary"), `Now ${count(lag)}, at most ${count(most("lag"))} since this page looks.`);
  return rate;
}

addEventListener("resize", () => {
  if (samples.length > 0) {
    draw("rate-plot", "rate");
    draw("lag-plot", "lag");
  }
});
