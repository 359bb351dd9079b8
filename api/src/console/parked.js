// Streams that a read model leaves out because an event of theirs cannot be read: looked at, and passed over with a reason.

import { get, post } from "./api.js";
import { $, confirm, count, el, say, warn } from "./dom.js";

let shown = "";
let inspect = () => {};

const path = (name) => `/v1/operator/projections/${encodeURIComponent(name)}/parked`;

async function skip(name, one, button) {
  const text = `Event ${one.event} of ${one.stream} is left out by every rebuild from now on. This cannot be undone.`;
  const form = await confirm("Pass over this event?", text, "Pass over", true);
  if (!form) return;
  button.disabled = true;
  try {
    await post(`${path(name)}/${encodeURIComponent(one.stream)}/skip`, { reason: form.get("reason") });
    say(`The event of ${one.stream} is passed over: ${name} is built anew by itself.`);
    shown = "";
  } catch (error) {
    button.disabled = false;
    warn(`${one.stream}: ${error.message}`);
  }
}

function row(name, one) {
  const cell = (label, className, ...children) => el("td", { role: "cell", "data-label": label, class: className }, ...children);
  const look = el("button", { type: "button", "aria-label": `Inspect ${one.stream}`, onclick: () => inspect(one.position) }, "Inspect");
  const pass = el("button", { type: "button", "data-verb": "skip", "aria-label": `Skip ${one.stream} in ${name}` }, "Skip…");
  pass.addEventListener("click", () => skip(name, one, pass));
  return el("tr", { role: "row", "data-stream": one.stream },
    el("th", { scope: "row", role: "rowheader" }, name, " ", el("small", {}, `build ${one.build}`)),
    cell("Stream", "id", one.stream), cell("Position", "number", count(one.position)), cell("Type", "id", one.type),
    cell("Why", "wide", one.error), cell(undefined, "wide", one.skipped ? "skipped; it is being built anew" : el("div", { class: "actions" }, look, pass)));
}

/** Shows what the builds leave out; asks only when something has changed. */
export async function load(builds) {
  // What a build before left out is mended, once the live one is whole.
  const matters = (build) => !["old", "failed"].includes(build.state);
  const names = [...new Set(builds.filter((build) => build.parked_streams > 0 && matters(build)).map((build) => build.name))];
  const state = JSON.stringify(builds.filter((build) => names.includes(build.name)).map((build) => [build.name, build.build, build.state, build.parked_streams]));
  if (state === shown) return;
  const lists = await Promise.all(names.map(async (name) => (await get(path(name))).items.filter(matters).map((one) => row(name, one))));
  const heads = ["Parked", "Stream", "Position", "Type", "Why", "Actions"].map((text) =>
    el("th", { scope: "col", role: "columnheader", class: text === "Position" ? "number" : undefined }, text));
  $("parked").replaceChildren(...(names.length === 0 ? [] : [
    el("h3", {}, "Parked streams"),
    el("p", { class: "help" }, "These streams hold an event that cannot be read; the projection goes on without them and is incomplete. What the event is about is closed meanwhile. A newer server may know it. Or skip it, with a reason: what is live is then built anew by itself."),
    el("table", { class: "rows", role: "table" }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
      el("tbody", { role: "rowgroup" }, ...lists.flat())),
  ]));
  shown = state;
}

export function start(onInspect) {
  inspect = onInspect;
}
