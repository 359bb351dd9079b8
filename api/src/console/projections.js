// The table of builds, what can be done with each, and what came of it.

import { get, post } from "./api.js";
import { $, confirm, count, dialog, el, figure, say, span, warn, write } from "./dom.js";
import { show } from "./reactions.js";

const UNDERWAY = new Set(["building", "returning", "checking"]);
const rows = new Map();
const seen = new Map();
const followed = new Set();
let refresh = async () => {};

const path = (name, verb) => `/v1/operator/projections/${encodeURIComponent(name)}/${verb}`;
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

/** What one may do with a build in its state: label, question before it, verb. */
function actions(build, others) {
  const old = others.some((other) => other.state === "old");
  switch (build.state) {
    case "live":
      return ["rebuild", "verify", ...(old ? ["rollback"] : [])];
    case "stopped":
      return ["rebuild"];
    case "building":
      return ["pause", "cancel"];
    case "returning":
      return ["cancel"];
    case "checking":
      return [];
    case "paused":
      return ["resume", "cancel"];
    case "ready":
      return ["switch", "cancel"];
    default:
      return ["drop"];
  }
}

const VERBS = {
  rebuild: { label: "Rebuild…", run: rebuild },
  verify: { label: "Verify…", run: verify },
  pause: { label: "Pause", run: (build) => steer(build, "pause", `Paused ${build.name}.`) },
  resume: { label: "Resume", run: (build) => steer(build, "resume", `Resumed ${build.name}.`) },
  switch: {
    label: "Switch…",
    ask: (build) => ["Make this build live?", `Build ${build.build} of ${build.name} replaces the live one. That one stays for rollback.`, "Switch"],
    run: (build) => steer(build, "switch", `Build ${build.build} of ${build.name} is live.`),
  },
  rollback: {
    label: "Roll back…",
    ask: (build) => ["Roll back?", `The build of ${build.name} that was live before catches up and becomes live again.`, "Roll back"],
    run: (build) => steer(build, "rollback", `The build before ${build.build} of ${build.name} is on its way back.`),
  },
  cancel: {
    label: "Cancel…",
    ask: (build) => ["Give this build up?", `Build ${build.build} of ${build.name} is dropped. What is live stays live.`, "Give up"],
    run: (build) => steer(build, "cancel", `Gave up build ${build.build} of ${build.name}.`),
  },
  drop: {
    label: "Drop…",
    ask: (build) => ["Drop this build?", `The tables of build ${build.build} of ${build.name} are deleted. Nobody can roll back to it then.`, "Drop"],
    run: (build) => steer(build, "drop", `Dropped build ${build.build} of ${build.name}.`, { build: build.build }),
  },
};

async function steer(build, verb, done, body) {
  await post(path(build.name, verb), body);
  say(done);
}

async function rebuild(build) {
  const answers = await askHow(`Rebuild ${build.name}`);
  if (!answers) return;
  const begun = await post(path(build.name, "rebuild"), answers);
  say(`Began build ${begun.build} of ${build.name}.`);
}

/** The dialog for a rebuild; the body of the request, or nothing. */
async function askHow(title) {
  const element = $("rebuild-dialog");
  element.querySelector("form").reset();
  write($("rebuild-title"), title);
  const form = await dialog(element);
  if (!form) return undefined;
  const limits = {};
  if (form.get("rate")) limits.rate = Number(form.get("rate"));
  if (form.get("memory")) limits.memory = Number(form.get("memory")) * 1024 * 1024;
  return { switch: form.get("switch"), ...(Object.keys(limits).length > 0 ? { limits } : {}) };
}

async function rebuildAll() {
  const answers = await askHow("Rebuild all projections");
  if (!answers) return;
  const begun = await post("/v1/operator/projections/rebuild", answers);
  say(`Began ${plural(begun.items.length, "build", "builds")}.`);
}

async function verify(build) {
  const element = $("verify-dialog");
  element.querySelector("form").reset();
  write($("verify-title"), `Verify ${build.name}`);
  const form = await dialog(element);
  if (!form) return;
  const sample = form.get("sample").trim();
  await post(path(build.name, "verify"), sample === "" ? {} : { sample });
  say(`Folding ${build.name} once more to compare it.`);
  follow(build.name);
}

/** Asks for a verification until it is over, then shows what it found. */
async function follow(name) {
  if (followed.has(name)) return;
  followed.add(name);
  try {
    for (;;) {
      const found = await get(path(name, "verification"));
      if (found.state !== "running") return result(found);
      await new Promise((resolve) => { setTimeout(resolve, 500); });
    }
  } catch (error) {
    return warn(`${name}: ${error.message}`);
  } finally {
    followed.delete(name);
  }
}

/** What a verification found, the latest of each projection. */
function result(found) {
  const clean = found.state === "done" && found.different === 0 && found.damage.length === 0;
  const compared = found.sample ? `${plural(found.compared, "row", "rows")} of ${count(found.rows)} compared, seed ${found.seed}` : plural(found.compared, "row", "rows");
  const outcome = found.state === "failed" ? `could not be verified: ${found.reason}`
    : `${compared}, ${clean ? "all as the log says." : `${plural(found.different, "is", "are")} not what the log says.`}${found.damage.length === 0 ? "" : " The database says that it is damaged:"}`;
  const summary = `${found.name}, build ${found.build}: ${outcome}`;
  const value = (json) => (json === null ? "nothing" : typeof json === "string" ? json : JSON.stringify(json));
  const cells = (cell, ...texts) => texts.map((text) => el(cell, { role: cell === "th" ? "columnheader" : "cell" }, text));
  const difference = (one) =>
    el("tr", { role: "row" }, ...cells("td", one.table, one.key, one.column ?? "the whole row", value(one.live), value(one.folded)));
  const table = found.differences.length === 0 ? undefined : el("table", { role: "table" },
    el("caption", { class: "help" }, "The first differences"),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...cells("th", "Table", "Row", "Column", "Live", "By the log"))),
    el("tbody", { role: "rowgroup" }, ...found.differences.map(difference)));
  const box = el("div", { class: clean ? "result" : "result bad", "data-name": found.name });
  const dismiss = el("button", { type: "button", onclick: () => box.remove(), "aria-label": `Dismiss the result for ${found.name}` }, "Dismiss");
  const damage = found.damage.length === 0 ? [] : [el("ul", {}, ...found.damage.map((line) => el("li", {}, line)))];
  box.append(el("div", { class: "heading" }, el("h3", {}, summary), dismiss), ...damage, ...(table ? [table] : []));
  $("verifications").querySelector(`[data-name="${CSS.escape(found.name)}"]`)?.remove();
  $("verifications").prepend(box);
  (clean ? say : warn)(summary);
}

async function act(verb, build, button) {
  const { ask, run } = VERBS[verb];
  if (ask && !(await confirm(...ask(build)))) return;
  button.disabled = true;
  try {
    await run(build);
  } catch (error) {
    warn(`${build.name}: ${error.message}`);
  } finally {
    button.disabled = false;
    await refresh();
  }
}

function newRow(key) {
  const cell = (label, className, ...children) => el("td", { role: "cell", "data-label": label, class: className }, ...children);
  const bar = el("progress", { max: 1 });
  const row = {
    name: el("th", { scope: "row", role: "rowheader" }), state: el("span"), reason: el("span", { class: "reason" }),
    position: cell("Position", "number"), lag: cell("Lag", "number"), rate: cell("Rate", "number"),
    bar, progress: el("span", { class: "progress-text" }), buttons: el("div", { class: "actions" }), offered: "",
  };
  row.element = el("tr", { role: "row", "data-build": key },
    row.name, cell("State", "", row.state, row.reason), row.position, row.lag, row.rate,
    cell("Progress", "", bar, row.progress), cell(undefined, "wide", row.buttons));
  return row;
}

function fill(row, build, others) {
  const title = `${build.name} v${build.version}`;
  if (row.name.dataset.title !== title) {
    row.name.dataset.title = title;
    row.name.replaceChildren(build.name, " ", el("small", {}, `v${build.version}, build ${build.build}`));
  }
  const incomplete = build.incomplete === true && build.state === "live";
  row.element.className = ["old", "failed"].includes(build.state) ? "aside" : "";
  row.state.className = `state ${incomplete ? "incomplete" : build.state}`;
  write(row.state, incomplete ? "live, incomplete" : build.state);
  write(row.reason, build.reason ?? "");
  write(row.position, count(build.position));
  write(row.lag, build.lag_events === 0 ? "0" : `${count(build.lag_events)}, ${span(build.lag_seconds)}`);
  write(row.rate, build.rate > 0 ? `${figure(build.rate)}/s` : "–");
  const moving = UNDERWAY.has(build.state) || build.state === "paused";
  row.bar.hidden = !moving;
  row.bar.value = build.progress;
  row.bar.setAttribute("aria-label", `Progress of build ${build.build} of ${build.name}`);
  const left = typeof build.eta_seconds === "number" && build.state !== "paused" ? `, ${span(build.eta_seconds)} left` : "";
  write(row.progress, moving ? `${Math.floor(build.progress * 100)} %${left}` : "");
  const offered = actions(build, others).join();
  if (row.offered !== offered) {
    const within = row.buttons.contains(document.activeElement);
    row.offered = offered;
    row.buttons.replaceChildren(...offered.split(",").filter((verb) => verb !== "").map((verb) => {
      const label = `${VERBS[verb].label.replace("…", "")} ${build.name}, build ${build.build}`;
      const button = el("button", { type: "button", "data-verb": verb, "aria-label": label }, VERBS[verb].label);
      button.addEventListener("click", () => act(verb, row.build, button));
      return button;
    }));
    // Whoever stood on a button that is gone stands on the first one.
    if (within) row.buttons.querySelector("button")?.focus();
  }
  row.build = build;
}

/** Tells of builds that came to an end since the last look. */
function announce(builds) {
  for (const build of builds) {
    if (build.state === "checking") continue;
    const key = `${build.name} ${build.build}`;
    const before = seen.get(key);
    seen.set(key, build.state);
    if (before === undefined || before === build.state) continue;
    if (build.state === "live") say(`Build ${build.build} of ${build.name} is live.`);
    else if (build.state === "ready") say(`Build ${build.build} of ${build.name} is ready and waits for its switch.`);
    else if (["failed", "stopped"].includes(build.state)) warn(`Build ${build.build} of ${build.name} ${build.state}: ${build.reason ?? "no reason given"}`);
  }
}

/** Fetches all builds and shows them; the builds. */
export async function load() {
  const { items, reactions } = await get("/v1/operator/projections");
  show(reactions);
  const body = $("projections").tBodies[0];
  const order = (build) => (build.state === "live" ? 0 : ["old", "failed"].includes(build.state) ? 2 : 1);
  items.sort((one, two) => one.name.localeCompare(two.name) || order(one) - order(two) || two.build - one.build);
  const keys = new Set();
  items.forEach((build, index) => {
    const key = `${build.name} ${build.build}`;
    keys.add(key);
    if (!rows.has(key)) rows.set(key, newRow(key));
    const row = rows.get(key);
    fill(row, build, items.filter((other) => other.name === build.name));
    if (build.state === "checking") follow(build.name);
    if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
  });
  for (const [key, row] of rows) {
    if (!keys.has(key)) {
      row.element.remove();
      rows.delete(key);
      seen.delete(key);
    }
  }
  announce(items);
  return items;
}

/** Whether something is under way, so that one should look more often. */
export const busy = (builds) => builds.some((build) => UNDERWAY.has(build.state));

export function start(onChange) {
  refresh = onChange;
  $("rebuild-all").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    try {
      await rebuildAll();
      await refresh();
    } catch (error) {
      warn(error.message);
    }
    button.focus();
  });
}
