/* A list beyond links and forms: choosing rows, sorting that is remembered, columns that are dragged and resized,
   panels that open in place. Everything essential works without this script. */
import { $, $$, keepList } from "./page.js";

// The orders of this list, in its sequence: the page of one of them offers the one before and the next (order.js).
document.addEventListener("click", ({ target }) => {
  if (target.closest?.("[data-list] a.number")) keepList(location.pathname + location.search, document, null);
});

const token = () => $("input[name=csrf_token]").value;

// Choosing: a click with Shift chooses all rows between. Rows stay chosen while they renew themselves. While all orders of the
// list are chosen, every row is ticked; afterwards the rows that were chosen one by one.
const chosen = new Set();
let last = null;
const boxes = () => $$("#list-rows .tick input");
const everything = () => $("#list-form input[name=all]");
const wanted = (box) => Boolean(everything()?.checked) || chosen.has(box.value);
function showChoice() {
  const all = boxes(), some = all.filter((box) => box.checked).length, head = $("[data-all]");
  if (!head) return;
  head.checked = some > 0 && some === all.length;
  head.indeterminate = some > 0 && some < all.length;
  offer();
}

// What the bar offers depends on the choice: the desk says which acts any of the chosen rows allows.
let offeredFor = "", waiting;
function offer() {
  const choice = String(new URLSearchParams(new FormData($("#list-form"))));
  clearTimeout(waiting);
  if (choice === offeredFor || !boxes().some((box) => box.checked)) return;
  waiting = setTimeout(async () => {
    offeredFor = choice;
    const answer = await fetch(`${$("[data-acts-url]").dataset.actsUrl}?${choice}`).catch(() => null);
    if (choice !== offeredFor) return;
    const drawn = new DOMParser().parseFromString(answer?.ok ? await answer.text() : "", "text/html");
    const [old, fresh] = [document, drawn].map((page) => $("#list-acts", page));
    if (!fresh) { // not answered, or signed out: what is offered stays meanwhile
      offeredFor = "";
      if (!answer?.ok) waiting = setTimeout(offer, 2000);
      return;
    }
    if ($("details", old)?.open && $("details", fresh)) $("details", fresh).open = true;
    if (old.isEqualNode(fresh)) return;
    const named = old.contains(document.activeElement) && document.activeElement.textContent;
    old.replaceWith(fresh);
    if (named) ($$("button, summary", fresh).find((one) => one.textContent === named) ?? $("button", fresh)).focus();
  }, 120);
}
function note(box) {
  if (!box.checked && everything()?.checked) {
    everything().checked = false;
    boxes().forEach((other) => other.checked && chosen.add(other.value));
  }
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
}
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.("#list-rows .tick input")) return;
  const all = boxes(), here = all.indexOf(box), there = all.findIndex((other) => other.value === last);
  if (event.shiftKey && there >= 0)
    all.slice(Math.min(here, there), Math.max(here, there) + 1).forEach((other) => {
      other.checked = box.checked;
      note(other);
    });
  last = box.value;
  note(box);
  showChoice();
});
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-all]")) {
    boxes().forEach((box) => {
      box.checked = target.checked;
      note(box);
    });
    showChoice();
  } else if (target === everything()) {
    boxes().forEach((box) => (box.checked = wanted(box)));
    showChoice();
  }
});
function count() {
  const found = $("#list-count[data-count]"), word = $("[data-found]");
  if (found && word) word.textContent = word.dataset.found.replace("{count}", found.dataset.shown);
}

// Layout: a column's place and width are stored at once; a message says so if they were not. A column without a grip is fixed.
async function remember(values) {
  const body = new URLSearchParams({ csrf_token: token(), quiet: "1" });
  values.forEach(([name, value]) => body.append(name, value));
  const answer = await fetch($("#list").dataset.columnsUrl, { method: "POST", body, keepalive: true }).catch(() => null);
  if (answer?.status !== 204) document.dispatchEvent(new Event("not-kept"));
}
const heads = () => $$("#list thead [data-column]");
const column = (head) => $(`#col-${CSS.escape(head.dataset.column)}`);
function widen(head, width) {
  const held = Math.round(Math.min(Math.max(width, 48), 800));
  column(head).width = held;
  $(".grip", head).setAttribute("aria-valuenow", String(held));
  return held;
}
const widthOf = (head) => [`width-${head.dataset.column}`, column(head).width];
const keepWidth = (head) => remember([...heads().map((other) => ["column", other.dataset.column]), widthOf(head)]);
let resized = null;
document.addEventListener("pointerdown", (event) => {
  if (!event.target.matches?.(".grip")) return;
  event.preventDefault();
  const head = event.target.closest("th");
  // A table may be wider than the sum of its columns' widths: each column first gets the width that it is drawn with.
  heads().forEach((other) => (column(other).width = Math.round(other.getBoundingClientRect().width)));
  resized = { head, from: event.clientX, width: head.getBoundingClientRect().width };
  event.target.classList.add("dragged");
  event.target.setPointerCapture(event.pointerId);
});
document.addEventListener("pointermove", (event) => resized && widen(resized.head, resized.width + event.clientX - resized.from));
document.addEventListener("pointerup", () => {
  if (!resized) return;
  $(".grip", resized.head).classList.remove("dragged");
  remember(heads().flatMap((head) => [["column", head.dataset.column], widthOf(head)]));
  resized = null;
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.(".grip") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  event.preventDefault();
  const head = event.target.closest("th");
  widen(head, Number(column(head).width) + (event.key === "ArrowLeft" ? -10 : 10));
  keepWidth(head);
});

// A column's head is dragged to another place; the Columns panel does this by keyboard.
let lifted = null;
document.addEventListener("dragstart", (event) => {
  const head = event.target.closest?.("#list thead [data-column]");
  if (!head || !$(".grip", head)) return;
  if (resized) return event.preventDefault();
  lifted = head;
  head.classList.add("lifted");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", head.dataset.column);
});
document.addEventListener("dragover", (event) => {
  const head = lifted && event.target.closest?.("#list thead [data-column]");
  $$("th.over").forEach((other) => other.classList.toggle("over", other === head));
  if (!head) return;
  event.preventDefault();
  head.classList.add("over");
});
document.addEventListener("dragend", () => {
  lifted?.classList.remove("lifted");
  $$("th.over").forEach((head) => head.classList.remove("over"));
  lifted = null;
});
document.addEventListener("drop", async (event) => {
  const head = lifted && event.target.closest?.("#list thead [data-column]");
  if (!head || head === lifted) return;
  event.preventDefault();
  const codes = heads().map((other) => other.dataset.column).filter((code) => code !== lifted.dataset.column);
  const after = heads().indexOf(lifted) < heads().indexOf(head);
  codes.splice(codes.indexOf(head.dataset.column) + (after ? 1 : 0), 0, lifted.dataset.column);
  await remember(codes.map((code) => ["column", code]));
  redraw();
});

// The whole table is loaded again, with the parts of the page that depend on its rows.
async function redraw() {
  const answer = await fetch(location.href);
  if (!answer.ok) return location.reload();
  const drawn = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = $("#list", drawn);
  const old = $("#list");
  if (!fresh || !old) return location.reload();
  const box = fresh.closest(".scroll").className;
  old.closest(".scroll").className = box;
  old.replaceWith(fresh);
  htmx.process(fresh);
  ["#list-pager", "#list-news"].forEach((part) => {
    if (!$(part) || !$(part, drawn)) return;
    $(part).replaceWith($(part, drawn));
    htmx.process($(part));
  });
  ready();
}
document.addEventListener("columns-changed", redraw);
document.addEventListener("click", (event) => {
  const sort = event.target.closest?.("a[data-sort]");
  if (sort && $("#list")) remember([["sort_by", sort.dataset.sort]]);
  if (event.target.closest?.("[data-close-panel]")) closePanel();
});
function closePanel() {
  const panel = $("#list-panel");
  panel.replaceChildren();
  document.getElementById(panel.dataset.opener)?.focus();
}
document.addEventListener("keydown", (event) => {
  const here = event.target.closest?.("#list-panel, [data-panel]") ?? (event.target === document.body);
  if (event.key === "Escape" && here && $("#list-panel")?.children.length) closePanel();
});
document.addEventListener("htmx:beforeRequest", (event) => {
  const opener = event.target;
  if (!opener.matches?.("[data-panel]")) return;
  const panel = $("#list-panel"), open = panel.dataset.opener === opener.id && panel.children.length;
  panel.dataset.opener = opener.id;
  if (matchMedia("(max-width: 759px)").matches) location.assign(opener.href); // on phones the panel is a page
  else if (!open) return;
  event.preventDefault();
  panel.replaceChildren();
});

function ready() {
  $$("[data-all][hidden], .grip[hidden], [data-close-panel][hidden]").forEach((element) => (element.hidden = false));
  heads().forEach((head) => (head.draggable = Boolean($(".grip", head))));
  $$(".grip").forEach((grip) => (grip.tabIndex = 0));
  boxes().filter(wanted).forEach((box) => (box.checked = true));
  showChoice();
  count();
}
document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target.closest?.("#list-rows")) offeredFor = ""; // the rows may allow something else now
  ready();
});
document.addEventListener("htmx:load", ready);
addEventListener("pageshow", () => {
  if (!everything()?.checked) boxes().forEach((box) => box.checked && chosen.add(box.value));
  ready();
});
$("[data-open-view]")?.requestSubmit();
if (location.hash === "#view-name" && $("#view-name")) {
  $("#view-name").closest("details").open = true;
  $("#view-name").focus();
}
ready();
