// The operator's console in a real browser: signs in, rebuilds, verifies, browses; by keyboard, in the dark and on a narrow window.
//
// node console.mjs URL OPERATOR_TOKEN ANALYST_TOKEN [FOLDER FOR SCREENSHOTS]
// CONSOLE_FILES=api/src/console takes the page's files from there instead of from the binary.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, operatorToken, analystToken, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const profile = mkdtempSync(join(tmpdir(), "console-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1280, height: 900 },
  colorScheme: "light",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
context.setDefaultTimeout(30_000);
const page = await context.newPage();
const complaints = [];
// Refused requests are part of the stories; everything else that the browser complains about is a fault.
page.on("console", (message) => {
  if (["error", "warning"].includes(message.type()) && !message.text().includes("the server responded with a status of 40")) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complaints.push(`asks elsewhere: ${request.url()}`);
});

// For work on the page: its files as they are on disk, without building the binary anew.
const files = process.env.CONSOLE_FILES;
if (files) {
  await context.route(/\/console(\/.*)?$/, async (route) => {
    const name = new URL(route.request().url()).pathname.split("/")[2] || "console.html";
    const contentType = { html: "text/html", css: "text/css", js: "text/javascript" }[name.split(".")[1]];
    await route.fulfill({ response: await route.fetch(), status: 200, contentType, body: readFileSync(join(files, name)) });
  });
}

async function picture(name, fullPage = true) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage });
}

/** Fails on anything that keeps people out. The policy of the page lets no script in, so axe comes with the debugger. */
async function accessible(what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  assert.deepEqual(told, [], what);
}

const row = (name, build) => page.locator(`#projections tr[data-build="${name} ${build}"]`);
const state = (name, build) => row(name, build).locator(".state");
const button = (name, build, verb) => row(name, build).locator(`button[data-verb="${verb}"]`);
const until = (locator, text) => locator.filter({ hasText: text }).first().waitFor();
const status = () => page.locator("#status");

async function signIn(token) {
  await page.goto(`${url}/console`);
  await page.getByLabel("Token with the scope").fill(token);
  await page.keyboard.press("Enter");
}

const stories = {
  async "a token that is none is refused in words"() {
    await page.goto(`${url}/console`);
    await accessible("signing in");
    await signIn("nonsense");
    await until(page.locator("#alert"), "Not signed in");
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  },

  async "whoever has a token sees every projection live, and which one is incomplete"() {
    await signIn(operatorToken);
    await state("questions", 1).waitFor();
    const states = await page.locator("#projections .state").allTextContents();
    assert.ok(states.length >= 8 && states.every((text) => text.startsWith("live")), String(states));
    await until(state("reactions", 1), "live, incomplete");
    await until(page.locator("#trouble"), "reactions");
    await page.locator("#events tbody tr").first().waitFor();
    assert.ok(Number((await page.locator("#head").textContent()).replaceAll(",", "")) > 1000);
    await accessible("the console");
    await picture("light");
  },

  async "a rebuild is begun, paused, resumed and becomes live, by keyboard alone"() {
    await button("questions", 1, "rebuild").focus();
    await page.keyboard.press("Enter");
    await page.locator("#rebuild-dialog[open]").waitFor();
    await accessible("the dialog");
    await page.getByLabel("At most, events per second").fill("2000");
    await page.keyboard.press("Enter");
    await until(status(), "Began build 2 of questions");
    await until(state("questions", 2), "building");
    await picture("building");
    await button("questions", 2, "pause").focus();
    await page.keyboard.press("Enter");
    await until(state("questions", 2), "paused");
    assert.equal(await state("questions", 1).textContent(), "live");
    await button("questions", 2, "resume").focus();
    await page.keyboard.press("Enter");
    await until(state("questions", 2), "live");
    await until(state("questions", 1), "old");
    await until(status(), "Build 2 of questions is live");
  },

  async "a build can wait for its switch, be rolled back, and be dropped"() {
    await button("groups", 1, "rebuild").click();
    await page.getByLabel("it waits for an operator").check();
    await page.locator("#rebuild-dialog button.primary").click();
    await until(state("groups", 2), "ready");
    await button("groups", 2, "switch").click();
    await page.locator("#confirm-dialog button.primary").click();
    await until(state("groups", 2), "live");
    await button("groups", 2, "rollback").click();
    await accessible("the question before a rollback");
    await page.locator("#confirm-dialog button.primary").click();
    await until(state("groups", 1), "live");
    await until(state("groups", 2), "old");
    // To say no changes nothing; Escape says no.
    await button("groups", 2, "drop").click();
    await page.keyboard.press("Escape");
    await button("questions", 1, "drop").click();
    await page.locator("#confirm-dialog button.primary").click();
    await row("questions", 1).waitFor({ state: "detached" });
    assert.equal(await state("groups", 2).textContent(), "old");
  },

  async "a verification tells what it found"() {
    await button("questions", 2, "verify").click();
    await page.locator("#verify-dialog button.primary").click();
    await until(page.locator("#verifications h3"), "all as the log says");
    await accessible("the result");
    await picture("verified");
  },

  async "a parked stream is inspected, skipped with a reason, and mended by itself"() {
    const parked = page.locator('#parked tr[data-stream="reaction-vanished"]').filter({ hasText: "reactions" }).first();
    await until(parked, "reaction.vanished.v1");
    await parked.getByRole("button", { name: "Inspect" }).click();
    await until(page.locator("#event-title"), "reaction.vanished.v1");
    await parked.getByRole("button", { name: "Skip" }).click();
    await page.getByLabel("Reason, kept in the log").fill("Nobody knows what it was");
    await accessible("the question before a skip");
    await picture("parked");
    await page.keyboard.press("Enter");
    await until(state("reactions", 2), "live");
    await page.waitForFunction(() => document.querySelector('#projections tr[data-build="reactions 2"] .state').textContent === "live");
  },

  async "events are found by type and stream, with what led to them, without what they say"() {
    await page.getByLabel("Type").fill("group.created");
    await page.getByLabel("From position").fill("1");
    await page.keyboard.press("Enter");
    await until(page.locator("#events-range"), "behind position 0");
    await page.waitForFunction(() => [...document.querySelectorAll("#events tbody tr")].every((row) => row.cells[2].textContent === "group.created.v1"));
    await page.locator("#events tbody button").first().click();
    await until(page.locator("#event-title"), "group.created.v1");
    assert.ok(await page.locator("#event .chain li").count() >= 1);
    await until(page.locator("#event"), "For tokens that carry the scope analyst too");
    await page.getByRole("button", { name: "Show its stream" }).click();
    await until(page.locator("#events tbody tr").first(), "group.created.v1");
    await accessible("events");
  },

  async "an analyst's token shows payloads, masked"() {
    await page.getByRole("button", { name: "Sign out" }).click();
    await signIn(analystToken);
    await page.getByLabel("Type").fill("question.posted");
    await page.getByLabel("From position").fill("1");
    await page.keyboard.press("Enter");
    await until(page.locator("#events tbody tr").first(), "question.posted.v1");
    await page.locator("#events tbody button").first().click();
    const payload = JSON.parse(await page.locator("#event pre").textContent());
    assert.equal(payload.title, null);
    assert.ok(payload.author);
    await picture("event");
  },

  async "the keyboard reaches everything"() {
    await page.evaluate(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex"); });
    const reachable = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input, pre[tabindex='0']")]
      .filter((element) => !element.disabled && element.checkVisibility()).length);
    const reached = new Set();
    for (let pressed = 0; pressed < reachable + 5; pressed += 1) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => {
        const all = [...document.querySelectorAll("a[href], button, input, pre[tabindex='0']")];
        const outline = getComputedStyle(document.activeElement).outlineStyle;
        return document.activeElement === document.body ? -1 : outline === "none" ? -2 : all.indexOf(document.activeElement);
      }));
    }
    assert.ok(!reached.has(-2), "focus shows");
    reached.delete(-1);
    assert.equal(reached.size, reachable);
  },

  async "it is dark where the system is dark, and works on a narrow window"() {
    await page.emulateMedia({ colorScheme: "dark" });
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    assert.ok(Math.max(...light) < 60, String(light));
    await accessible("the dark console");
    await picture("dark");
    await page.setViewportSize({ width: 360, height: 780 });
    const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    assert.ok(needed <= given, `${needed} pixels are needed, there are ${given}`);
    await accessible("the narrow console");
    await picture("narrow", false);
    await page.emulateMedia({ colorScheme: "light" });
    await page.locator("#projections").scrollIntoViewIfNeeded();
    await picture("narrow-light", false);
  },

  async "whoever signs out leaves nothing behind"() {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.locator("#sign-in").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
    assert.equal(await page.locator("#console").isVisible(), false);
  },
};

let failed = false;
for (const [name, story] of Object.entries(stories)) {
  try {
    await story();
    assert.deepEqual(complaints.splice(0), [], "the browser complains");
    console.log(`ok      ${name}`);
  } catch (error) {
    console.log(`FAILED  ${name}\n${error.stack}`);
    console.log(`the page says: ${await page.locator("#status").textContent()} ${await page.locator("#alert").textContent()}`);
    await picture("failed");
    failed = true;
    break;
  }
}
await context.close();
rmSync(profile, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
