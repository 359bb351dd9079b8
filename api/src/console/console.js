// The operator's console: signs in, looks again and again, and shows what it sees.
//
// api: requests; dom: elements and messages; projections, reactions, parked, events, plot: the parts of the page.

import { Refused, forgetToken, get, keepToken, token } from "./api.js";
import { $, count, figure, say, warn, write } from "./dom.js";
import * as events from "./events.js";
import * as parked from "./parked.js";
import { sample } from "./plot.js";
import * as projections from "./projections.js";
import { failing } from "./reactions.js";

/** Milliseconds between two looks: while something is under way, and else. */
const [OFTEN, SELDOM] = [500, 2000];
let timer;
let looking;

function overview(builds) {
  const head = Math.max(0, ...builds.map((build) => build.head));
  const live = builds.filter((build) => ["live", "stopped"].includes(build.state));
  const lag = Math.max(0, ...live.map((build) => build.lag_events));
  const rate = sample(head, lag);
  // What only waits for a way back needs no mending.
  const trouble = builds.filter((build) => build.state !== "old" && build.incomplete === true).map((build) => build.name);
  write($("head"), count(head));
  write($("append-rate"), figure(rate));
  write($("lag"), count(lag));
  write($("lag-seconds"), figure(Math.max(0, ...live.map((build) => build.lag_seconds))));
  write($("underway"), count(builds.filter((build) => projections.busy([build])).length));
  trouble.push(...failing());
  write($("trouble"), trouble.length === 0 ? "none" : [...new Set(trouble)].join(", "));
}

/** One look; the next one follows when the answer is there. Looks asked for meanwhile are the same one. */
function look() {
  looking ??= glance().finally(() => { looking = undefined; });
  return looking;
}

async function glance() {
  clearTimeout(timer);
  let next = SELDOM;
  try {
    const builds = await projections.load();
    overview(builds);
    await parked.load(builds);
    write($("connection"), `connected, ${new Date().toLocaleTimeString("en-GB")}`);
    $("connection").classList.remove("lost");
    if (projections.busy(builds)) next = OFTEN;
  } catch (error) {
    if (error instanceof Refused && [401, 403].includes(error.status)) return leave(error.message);
    write($("connection"), "the server does not answer");
    $("connection").classList.add("lost");
  }
  if (token()) timer = setTimeout(look, document.hidden ? 10 * SELDOM : next);
  return undefined;
}

async function enter() {
  $("sign-in").hidden = true;
  for (const id of ["console", "connection", "sign-out"]) $(id).hidden = false;
  await look();
  await events.load();
}

function leave(why) {
  clearTimeout(timer);
  forgetToken();
  for (const id of ["console", "connection", "sign-out"]) $(id).hidden = true;
  $("sign-in").hidden = false;
  $("token").focus();
  if (why) warn(`Signed out: ${why}.`);
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  try {
    await get("/v1/operator/projections");
    $("token").value = "";
    say("Signed in.");
    $("main").focus();
    await enter();
  } catch (error) {
    forgetToken();
    warn(`Not signed in: ${error.message}.`);
  }
});
$("sign-out").addEventListener("click", () => {
  leave();
  say("Signed out.");
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && token()) look();
});
projections.start(look);
parked.start(events.open);
events.start();
if (token()) enter();
