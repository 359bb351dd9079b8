// The event browser: by type, stream and position; an event with what led to it and what followed.

import { Refused, get } from "./api.js";
import { $, count, el, warn, write } from "./dom.js";

const LIMIT = 25;
/** How far around an event its chain is looked for. */
const REACH = 5000;
let shown = { after: 0, next: 0, head: 0 };
let analyst = false;

const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given).toString();
};
const time = (text) => text.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1");
const entries = (parameters) => get(`/v1/operator/events?${query(parameters)}`);

function filters() {
  const form = new FormData($("events-form"));
  return { type: form.get("type").trim(), stream: form.get("stream").trim() };
}

async function show(after) {
  try {
    const page = await entries({ ...filters(), after, limit: LIMIT });
    shown = page;
    const body = $("events").tBodies[0];
    body.replaceChildren(...page.items.map(row));
    const found = page.items.length === 0 ? "No such event" : `${count(page.items.length)} ${page.items.length === 1 ? "event" : "events"}`;
    write($("events-range"), `${found} behind position ${count(page.after)}, up to ${count(page.next)}; the log ends at ${count(page.head)}.`);
    $("events-earlier").disabled = page.after === 0;
    $("events-later").disabled = page.next >= page.head;
  } catch (error) {
    warn(`Events: ${error.message}`);
  }
}

function row(entry) {
  const cell = (label, className, ...children) => el("td", { role: "cell", "data-label": label, class: className }, ...children);
  const open = el("button", { type: "button", class: "link", onclick: () => detail(entry) }, count(entry.position));
  return el("tr", { role: "row", "data-position": entry.position },
    cell("Position", "number", open), cell("Recorded", "nowrap", time(entry.recorded_at)), cell("Type", "id nowrap", entry.type),
    cell("Stream", "id wide", entry.stream), cell("Revision", "number wide-only", String(entry.revision)), cell("Command", "wide-only", entry.command));
}

/** The masked payload, if the token allows it. */
async function payload(entry) {
  if (!analyst) return undefined;
  let after;
  // A stream is short; the event stands in it.
  for (let page = 0; page < 50; page += 1) {
    const { items, next } = await get(`/v1/events?${query({ stream: entry.stream, limit: 100, after })}`);
    const found = items.find((item) => item.id === entry.id);
    if (found) return found.data;
    if (items.length === 0 || next === after) return undefined;
    after = next;
  }
  return undefined;
}

/** Everything of one request around the event, with what caused what. */
async function chain(entry) {
  const found = [];
  let after = Math.max(0, entry.position - REACH);
  while (after < entry.position + REACH) {
    const page = await entries({ correlation: entry.correlation, after, limit: 100 });
    found.push(...page.items);
    if (page.next <= after || page.next >= page.head) break;
    after = page.next;
  }
  return found;
}

async function detail(entry) {
  const box = $("event");
  for (const marked of $("events").querySelectorAll(".chosen")) marked.classList.remove("chosen");
  $("events").querySelector(`[data-position="${entry.position}"]`)?.classList.add("chosen");
  try {
    const [data, related] = await Promise.all([payload(entry), chain(entry)]);
    const fact = (name, value) => [el("dt", {}, name), el("dd", { class: "id" }, value)];
    const close = el("button", { type: "button", onclick: () => {
      box.hidden = true;
      $("events").querySelector(`[data-position="${entry.position}"] button`)?.focus();
    } }, "Close");
    const all = el("button", { type: "button", onclick: () => stream(entry.stream) }, "Show its stream");
    const link = (one) => {
      const cause = related.find((other) => other.id === one.causation);
      const text = `${count(one.position)} ${one.type}`;
      const label = one.id === entry.id ? el("strong", {}, text) : el("button", { type: "button", class: "link", onclick: () => detail(one) }, text);
      return el("li", {}, label, cause ? el("small", {}, ` caused by ${count(cause.position)}`) : undefined);
    };
    box.replaceChildren(
      el("div", { class: "heading" }, el("h3", { id: "event-title" }, `${entry.type} at position ${count(entry.position)}`), close),
      el("dl", {}, ...fact("Event id", entry.id), ...fact("Stream", `${entry.stream}, revision ${entry.revision}`), ...fact("Recorded", entry.recorded_at),
        ...fact("Command", `${entry.command} ${entry.command_id}`), ...fact("Correlation", entry.correlation), ...fact("Causation", entry.causation ?? "a request")),
      el("h3", {}, "In the same chain"), el("ol", { class: "chain" }, ...related.map(link)),
      el("h3", {}, "Payload, masked"),
      data === undefined ? el("p", { class: "help" }, analyst ? "It cannot be shown." : "For tokens that carry the scope analyst too.")
        : el("pre", { tabindex: "0", "aria-label": "Payload" }, JSON.stringify(data, null, 2)),
      el("div", {}, all));
    box.hidden = false;
    box.focus();
  } catch (error) {
    warn(`Event: ${error.message}`);
  }
}

function stream(name) {
  const form = $("events-form");
  form.elements.type.value = "";
  form.elements.stream.value = name;
  form.elements.from.value = "";
  return show(0);
}

/** Shows the event at a position, and what stands behind it. */
export async function open(position) {
  const form = $("events-form");
  for (const name of ["type", "stream"]) form.elements[name].value = "";
  form.elements.from.value = String(position);
  await show(position - 1);
  const entry = shown.items.find((item) => item.position === position);
  if (entry) await detail(entry);
}

function wanted() {
  const from = $("events-form").elements.from.value.trim();
  return from === "" ? undefined : Math.max(0, Number(from) - 1);
}

/** Whether the token also shows payloads. */
async function isAnalyst() {
  try {
    await get("/v1/events?limit=1");
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

export async function load() {
  analyst = await isAnalyst();
  await show(wanted());
}

export function start() {
  $("events-form").addEventListener("submit", (event) => {
    event.preventDefault();
    show(wanted());
  });
  $("events-later").addEventListener("click", () => show(shown.next));
  $("events-earlier").addEventListener("click", () => show(Math.max(0, shown.after - Math.max(LIMIT, shown.next - shown.after))));
}
