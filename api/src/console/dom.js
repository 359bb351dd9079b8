// Small helpers: elements, texts, messages, questions.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts are texts, never markup. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** Changes a text only if it is another one, so that nothing flickers and nothing is read out twice. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const decimals = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export const count = (n) => numbers.format(n);
export const figure = (n) => (n >= 100 ? numbers : decimals).format(n);

/** A span of seconds in words: 42 s, 3 min 05 s, 2 h 10 min. */
export function span(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s >= 172_800) return `${count(s / 86_400)} days`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** Tells politely what was done. */
export function say(text) {
  write($("alert"), "");
  write($("status"), text);
}

/** Tells at once what went wrong. */
export function warn(text) {
  write($("status"), "");
  write($("alert"), text);
}

/** Shows a dialog; its form once it is confirmed, nothing otherwise. Focus returns to where it was. */
export function dialog(element) {
  const before = document.activeElement;
  const form = element.querySelector("form");
  element.returnValue = "";
  element.showModal();
  return new Promise((resolve) => {
    element.addEventListener("close", () => {
      before?.focus();
      resolve(element.returnValue === "go" ? new FormData(form) : undefined);
    }, { once: true });
  });
}

/** Asks before something that cannot simply be undone. With `reason`, a reason is asked for and needed. */
export function confirm(title, text, go, reason = false) {
  write($("confirm-title"), title);
  write($("confirm-text"), text);
  write($("confirm-go"), go);
  const input = $("confirm-reason").querySelector("input");
  $("confirm-reason").hidden = !reason;
  input.required = reason;
  input.value = "";
  return dialog($("confirm-dialog"));
}
