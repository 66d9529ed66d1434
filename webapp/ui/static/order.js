/* The page of one order: who else looks at it, units by line, the slider of the past. Everything works without this script.
   An element that only this script makes useful is served `hidden` and marked data-scripted; one that this script replaces is
   marked data-scriptless. */
import { $, $$, keepList, whenReady } from "./page.js";

// Presence: a beat is posted on arrival, every 15 s while the page is visible, and on leaving. After a refused beat none follows.
const present = $("[data-beat]");
let beating = Boolean(present);
const beat = () => beating && !document.hidden && window.htmx?.trigger(present, "beat");
if (present) {
  const stop = ({ detail }) => detail.elt === present && (beating = false);
  document.addEventListener("htmx:responseError", stop);
  setTimeout(beat, 400);
  setInterval(beat, 15000);
  document.addEventListener("visibilitychange", beat);
  addEventListener("pagehide", () => {
    const form = new FormData();
    form.append("leaves", "1");
    form.append("csrf_token", JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "");
    navigator.sendBeacon(present.getAttribute("hx-post"), form);
  });
}

// The list from which this order was opened: back to it, and to the orders before and after it, also those of its other pages.
const neighbors = $("#order-neighbors");
const list = JSON.parse(sessionStorage.getItem("waybill-list")) ?? { orders: [] };
const here = list.orders.indexOf(neighbors?.dataset.order);
if (here >= 0) {
  const crumb = $(".crumb"), known = list.before + list.orders.length;
  crumb.href = list.url;
  crumb.lastChild.textContent = crumb.dataset.fromList;
  if (list.before != null) $("output", neighbors).textContent = `${list.before + here + 1} / ${known}${list.older ? "+" : ""}`;
  for (const [rel, step, beside] of [["prev", -1, list.newer], ["next", 1, list.older]]) {
    const link = $(`[rel=${rel}]`, neighbors), url = list.orders[here + step];
    if (!url && !beside) endsAt(link);
    else link.href = url || beside;
    if (!url && beside) link.addEventListener("click", (event) => turnPage(event, link, step, beside));
  }
  neighbors.hidden = false;
}
function endsAt(link) {
  if (link.rel === "next") $("[data-end]", neighbors).hidden = false;
  link.remove();
}
// The list's next page, or the one before, is read as it is now; if that fails, the link leads to it.
async function turnPage(event, link, step, url) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok || answer.redirected) return void (location.href = url); // signed out meanwhile
  const root = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = list.before === null ? null : list.before + (step > 0 ? list.orders.length : -$$("[data-list] a.number", root).length);
  const { orders } = keepList(url, root, before);
  if (orders.length) location.href = orders.at(step > 0 ? 0 : -1);
  else endsAt(link);
}

// A form that somebody opened has the focus in its first empty field, of those that it needs if there are any; once it is done, the next order of the list is one key away.
const emptyField = ":is(input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea):enabled";
document.addEventListener("htmx:afterSettle", ({ detail: { elt, requestConfig } }) => {
  if (elt.id !== "order-actions" || !["click", "submit"].includes(requestConfig?.triggeringEvent?.type)) return;
  const form = $("form.chosen", elt);
  if (form?.contains(document.activeElement)) return;
  const empty = form && requestConfig.verb === "get" ? $$(emptyField, form).filter((one) => !one.value && one.checkVisibility()) : [];
  if (empty.length) (empty.find((field) => field.required) ?? empty[0]).focus();
  else if (!form && requestConfig.verb === "post") $("[rel=next]:not([hidden] *)", neighbors)?.focus();
});

// Units by line: whoever changes a line chooses it; the sum of the chosen units is shown. Whoever chooses none sees what else there is.
function showChosen(box) {
  if ($("input[value=none]:checked", box)) $$(".fields > details", box.closest("form")).forEach((fold) => (fold.open = true));
  const some = $("input[value=some]", box);
  const sum = $("output", box);
  if (!sum) return;
  const chosen = $$("input[type=checkbox]:checked", box).map((tick) => tick.closest("li"));
  const units = chosen.reduce((total, row) => total + (Number($("input[type=number]", row).value) || 0), 0);
  sum.textContent = some.checked ? sum.dataset.one.replace("{units}", units).replace("{lines}", chosen.length) : "";
}
document.addEventListener("input", ({ target }) => {
  const box = target.closest("[data-quantities]");
  if (!box) return;
  const row = target.closest("li");
  if (row) {
    $("input[value=some]", box).checked = true;
    if (target.type === "number") $("input[type=checkbox]", row).checked = Number(target.value) > 0;
  }
  showChosen(box);
});
document.addEventListener("click", ({ target }) => {
  const pick = target.closest("[data-pick]");
  if (!pick) return;
  const box = pick.closest("[data-quantities]");
  $$("input[type=checkbox]", box).forEach((tick) => (tick.checked = pick.dataset.pick === "all"));
  $("input[value=some]", box).checked = true;
  showChosen(box);
});

// The slider of the past moves the list of moments, which is the form's own field; the newest moment is on the right.
document.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-slides]")) return;
  const list = document.getElementById(target.dataset.slides);
  list.selectedIndex = list.options.length - 1 - target.value;
});

// A choice that fills the form, such as a template: its text goes where the cursor was, or behind what is there if it was nowhere yet;
// the first thing that is left to be written is selected.
const visited = new WeakSet();
document.addEventListener("focusin", ({ target }) => target.matches("textarea") && visited.add(target));
function fill({ dataset }) {
  const field = document.getElementById(dataset.sets ?? dataset.fills);
  if (dataset.sets) {
    const ticked = $$("input", field).find(({ value }) => value === dataset.text);
    if (ticked) ticked.checked = true;
    else field.value = dataset.text;
    return field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const at = visited.has(field) ? field.selectionEnd : field.value.length;
  const gap = !visited.has(field) && field.value.trim() ? "\n\n" : "";
  field.setRangeText(gap + dataset.text, at, at, "end");
  const left = field.value.slice(at).match(/\{[a-z_]+\}/i);
  if (left) field.setSelectionRange(at + left.index, at + left.index + left[0].length);
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

whenReady((root) => {
  for (const given of $$("[data-fills], [data-sets]", root.parentElement ?? root)) {
    given.remove();
    fill(given);
  }
  $$("[data-scripted]", root).forEach((element) => (element.hidden = false));
  $$("[data-scriptless]", root).forEach((element) => (element.hidden = true));
  $$("[data-quantities]", root).forEach(showChosen);
  $$("[data-slides]", root).forEach((slider) => {
    const list = document.getElementById(slider.dataset.slides);
    slider.max = list.options.length - 1;
    slider.value = list.options.length - 1 - list.selectedIndex;
  });
});
