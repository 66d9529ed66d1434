/* Ctrl K: the acts of this page and the pages of the desk, by name. What is typed stays in the browser, with two exceptions: a
   search is sent by the search box, and a number is posted, since it may be a buyer's.

   An act is any element with data-act; its name is that value, or the element's text. It is offered while the element is
   visible or inside a menu, and choosing it clicks the element. With aria-disabled it is listed with the text that describes it as
   the reason, and can't be chosen. The server adds links and acts that are posted (frame/palette.py). "hold 000123" names an act and an order. */
import { $, $$ } from "./page.js";

const dialog = $("#palette");
const [input, list, nothing] = ["input", "ul", "[data-nothing]"].map((part) => $(part, dialog));
const texts = dialog.dataset; // and the address of the acts
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const most = 60;
const number = String.raw`(?=\D*\d)[\w@-]{3,60}`;
let ways, arriving, offered, orderActs = [], shown = [], at = 0;

const refused = (element) => element.getAttribute("aria-disabled") === "true";
const reason = (element) => document.getElementById(element.getAttribute("aria-describedby"))?.textContent.trim() ?? element.title;

const barLast = (one, other) => Boolean(one.closest(".bar")) - Boolean(other.closest(".bar"));

const nameOf = (element) => element.dataset.act || element.textContent.trim();

// A part that was drawn again while the palette was open has the act as another element.
function actsHere() {
  const opens = (element) => element.closest("[popover]") || element.closest("details[data-menu]")?.checkVisibility();
  const drawn = (element) => getComputedStyle(element).display !== "none"; // an act may be drawn twice, for wide pages and for phones
  const seen = (element) => drawn(element) && (element.checkVisibility() || opens(element));
  return $$("[data-act]:not([hidden], :disabled)").filter(seen).sort(barLast).map((element) => ({
    label: nameOf(element),
    about: refused(element) ? reason(element) : texts.here,
    off: refused(element),
    act: () => {
      const drawn = element.isConnected ? element : $$("[data-act]").find((other) => nameOf(other) === nameOf(element));
      const menu = drawn?.matches("label") && drawn.closest("details");
      if (menu) menu.open = true;
      drawn?.click();
    },
  }));
}

/* Posts a form, as a page without scripts does. An act that redirects gets this page as its `next`. */
function post({ url, fields, forget }) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: url, hidden: true });
  form.toggleAttribute("data-forget", Boolean(forget));
  const here = "next" in fields ? { next: location.pathname + location.search } : {};
  const token = $("input[name=csrf_token]").value;
  Object.entries({ ...fields, ...here, csrf_token: token }).forEach(([name, value]) =>
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value })),
  );
  document.body.append(form);
  form.requestSubmit();
}

async function waysOfTheDesk() {
  const answer = await fetch(texts.url, { headers: { Accept: "application/json" } });
  const desk = answer.ok ? await answer.json() : { ways: [], acts: [] };
  orderActs = desk.acts;
  return desk.ways.map((way) => ({ ...way, act: () => (way.fields ? post(way) : location.assign(way.url)) }));
}

/* Entries in which each typed word begins a word, or is inside one from three letters; names that begin with the text come first. */
function fitting(text) {
  const words = plain(text).split(/\s+/).filter(Boolean);
  const ranked = offered
    .map((entry) => [entry, plain(`${entry.label} ${entry.about}`)])
    .filter(([, name]) => words.every((word) => ` ${name}`.includes(` ${word}`) || (word.length > 2 && name.includes(word))));
  const first = ([, name]) => (name.startsWith(words.join(" ")) ? 0 : 1);
  return ranked.sort((one, other) => first(one) - first(other)).map(([entry]) => entry);
}

const onOrder = (label, text, act = "") => ({ label, about: texts.orders, act: () => post({ url: texts.url, fields: { text, act } }) });

/* What the text itself names: an order, an act on an order (“hold 000123”), and words to search for. */
function ofText(text) {
  const named = text.match(RegExp(`^(?:(\\S.*?)\\s+)?(${number})$`));
  const orders = [];
  if (named) {
    const [, act, order] = named;
    if (!act) orders.push(onOrder(texts.order.replace("{text}", order), order));
    else
      orderActs.filter(({ label }) => plain(label).startsWith(plain(act))).forEach(({ code, label }) =>
        orders.push(onOrder(texts.actOn.replace("{act}", label).replace("{text}", order), order, code)),
      );
  }
  const box = $("[data-search]");
  const label = texts.search.replace("{text}", text);
  const search = { label, about: texts.searched, act: () => ((box.value = text), box.form.requestSubmit()) };
  return [orders, text && box?.form ? [search] : []];
}

function draw() {
  const text = input.value.trim();
  const [orders, search] = ofText(text);
  const found = fitting(text).slice(0, most - orders.length - search.length);
  shown = [...orders, ...found, ...search];
  list.replaceChildren(...shown.map((entry, index) => {
    const [row, name, about] = ["li", "span", "span"].map((tag) => document.createElement(tag));
    Object.assign(row, { id: `palette-${index}`, role: "option" });
    name.textContent = entry.label;
    about.textContent = entry.about;
    if (entry.off) row.ariaDisabled = "true";
    row.append(name, about);
    row.addEventListener("click", () => choose(index));
    return row;
  }));
  nothing.hidden = shown.length > 0;
  point(0);
}

function point(index) {
  at = shown.length ? (index + shown.length) % shown.length : 0;
  [...list.children].forEach((row, number) => row.setAttribute("aria-selected", String(number === at)));
  list.children[at]?.scrollIntoView({ block: "nearest" });
  if (shown.length) input.setAttribute("aria-activedescendant", `palette-${at}`);
  else input.removeAttribute("aria-activedescendant");
}

function choose(index) {
  const entry = shown[index];
  if (!entry || entry.off || !dialog.open) return;
  dialog.close();
  entry.act();
}

async function open() {
  if (dialog.open || $("dialog[open]")) return;
  const here = actsHere();
  offered = [...here, ...(ways ?? [])];
  input.value = "";
  dialog.showModal();
  draw();
  arriving = ways ?? waysOfTheDesk().catch(() => undefined);
  ways = await arriving;
  const known = new Set(here.map((entry) => entry.label));
  offered = [...here, ...(ways ?? []).filter((way) => !known.has(way.label))];
  draw();
}

input.addEventListener("input", draw);
input.addEventListener("keydown", (event) => {
  const steps = {
    ArrowDown: () => point(at + 1),
    ArrowUp: () => point(at - 1),
    PageDown: () => point(Math.min(at + 8, shown.length - 1)),
    PageUp: () => point(Math.max(at - 8, 0)),
    Enter: () => Promise.resolve(arriving).then(() => choose(at)),
  };
  if (!steps[event.key] || event.isComposing) return;
  event.preventDefault();
  steps[event.key]();
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  event.preventDefault();
  open();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-palette]") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  open();
});
