/* Single-key shortcuts: never while typing, never with a modifier. They get in the way of people who dictate to the browser, so
   they can be turned off (WCAG 2.1.4); localStorage keeps the choice. */
import { $, $$, whenReady } from "./page.js";

const turnedOn = () => localStorage.getItem("waybill-keys") !== "off";
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-keys-choice] input")) return;
  localStorage.setItem("waybill-keys", target.checked ? "on" : "off");
  $$("[data-keys-choice] input").forEach((box) => (box.checked = target.checked));
});
whenReady((root) => $$("[data-keys-choice] input", root).forEach((box) => (box.checked = turnedOn())));

const rows = () => $$("[data-list] tbody tr").filter((row) => !row.hidden && $("a", row));
const linkOf = (row) => row && ($("a.number", row) ?? $("a", row));
let current = ""; // the id of the row that was walked to; it is marked again when the rows renew themselves
function walk(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("at"));
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  all[at]?.classList.remove("at");
  next.classList.add("at");
  current = next.id;
  linkOf(next).focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}
document.addEventListener("htmx:afterSettle", () => current && document.getElementById(current)?.classList.add("at"));

const shortcuts = {
  j: () => walk(1),
  k: () => walk(-1),
  o: () => linkOf($("tr.at"))?.click(),
  x: () => $("tr.at input[type=checkbox]")?.click(),
  n: () => $("a[rel=next]")?.click(),
  p: () => $("a[rel=prev]")?.click(),
  u: () => $$("#messages [data-undo]").at(-1)?.click(),
  "/": () => ($("[data-search]") ?? $("[type=search]"))?.select(),
  "?": () => $("#keys").open || $("#keys").showModal(),
};
const typing = (element) => element?.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
let before = ""; // the key pressed before: "g" begins a shortcut of two keys
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches("[data-search]")) event.target.blur();
  if (!turnedOn() || typing(event.target) || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const act = before === "g" ? () => $(`[data-go="${CSS.escape(event.key)}"]`)?.click() : shortcuts[event.key];
  before = before === "g" ? "" : event.key;
  if (act) {
    event.preventDefault();
    act();
  }
});
