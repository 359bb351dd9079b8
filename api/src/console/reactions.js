// What happens beside commands and read models: how far each reaction has come, and what keeps it from going on.

import { $, count, el, span, write } from "./dom.js";

const rows = new Map();
let shown = [];

/** The names of those that cannot go on. */
export const failing = () => shown.filter((one) => one.failing).map((one) => one.name);

function newRow(name) {
  const row = { state: el("span"), reason: el("small"), position: el("span"), lag: el("span") };
  const cell = (label, className, ...children) => el("td", { role: "cell", "data-label": label, class: className }, ...children);
  row.element = el("tr", { role: "row", "data-reaction": name },
    el("th", { scope: "row", role: "rowheader" }, name),
    cell("State", undefined, row.state, " ", row.reason), cell("Position", "number", row.position), cell("Lag", "number", row.lag));
  $("reactions").tBodies[0].append(row.element);
  return row;
}

/** Shows how they stand. */
export function show(reactions) {
  shown = reactions;
  for (const one of reactions) {
    if (!rows.has(one.name)) rows.set(one.name, newRow(one.name));
    const row = rows.get(one.name);
    row.state.className = `state ${{ failing: "failed", paused: "paused" }[one.state] ?? "live"}`;
    write(row.state, one.state);
    write(row.reason, one.failing ? `${count(one.failure.times)} times: ${one.failure.error}` : "");
    write(row.position, count(one.position));
    write(row.lag, one.lag_events === 0 ? "0" : `${count(one.lag_events)}, ${span(one.lag_seconds)}`);
  }
}
