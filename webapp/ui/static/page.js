/* What every page does beyond links and forms. Everything essential works without scripts. The other scripts import from this
   one: $ and $$ find elements, whenReady prepares what has arrived.

   Attributes on elements, and the script that reads each
     data-countdown    page      <time>: its text is renewed every 30 s; the script sets data-due to "soon" or "late".
                                 With the value "age" it is the time since then. data-left is a sentence around {time}
                                 while it is still to come
     data-copy         page      a button that copies its value
     data-end          order     shown at the last order of the list from which an order was opened
     data-dismiss      page      a button that closes the message it is in
     data-failed       page      shown where a part could not be loaded
     data-menu         page      a <details> that closes when something else is clicked, or with Escape
     data-open         page      a button that opens the <dialog> with this id
     data-theme-choice page      a button that chooses the theme of its value
     data-undo         keys      a button of a message, pressed with "u"
     data-list         keys      its table rows can be walked with j k x o
     data-go           keys      a link that is followed with "g" and then this letter
     data-search       keys      the search box, focused with "/"
     data-keys-choice  keys      a label whose checkbox turns single-key shortcuts on and off
     data-keep         forms     a form, or one text field of a form, whose input is kept in this tab until it is saved
     data-drafts       forms     a form whose input the server keeps as a draft: it is not kept in the tab
     data-fills        order     its data-text is put into the field with this id, at the cursor; data-sets: in the place of its value,
                                 or the box of this value is ticked
     data-only-with    forms     a field that is shown and sent only while a choice has a value, such as "kind=mail"
     data-forget       forms     a form that signs out: what was kept is deleted
     data-sample       forms     an example on the style guide: its errors do not get the focus
     data-live         live      topics, such as "orders" or "orders-12": the element gets a `refresh` event when one of them changes
     data-look         live      gets `refresh` instead of many rows, and every 20 s while there is no live connection
     data-act          palette   a link or button that Ctrl K offers by its value or text
   Elements that are useless without a script are served `hidden` and shown here. */
export const $ = (selector, from = document) => from.querySelector(selector);
export const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

// A page of a list of orders, kept in this tab for the page of one of them: its orders in their sequence, the pages beside it, and how
// many orders are before it, null if nobody knows.
export function keepList(url, root, before) {
  const beside = (rel) => $(`#list-pager [rel=${rel}]`, root)?.getAttribute("href") ?? "";
  const orders = $$("[data-list] a.number", root).map((link) => link.pathname);
  const list = { url, orders, newer: beside("prev"), older: beside("next") };
  list.before = list.newer ? before : 0;
  if (orders.length) sessionStorage.setItem("waybill-list", JSON.stringify(list));
  return list;
}
const words = $("#words").dataset; // in the reader's language

/* Calls `prepare` with the document now, and with every part that htmx loads later. */
export function whenReady(prepare) {
  prepare(document);
  document.addEventListener("htmx:load", ({ detail }) => prepare(detail.elt));
}

// Where there is no room for all tabs, the present one is in sight.
whenReady((part) => {
  for (const tab of $$(".tabs [aria-current]", part)) {
    const row = tab.closest(".tabs");
    row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }
});

// Messages in #messages: those the server sends, and those that only the browser can write, such as a failed request.
const duration = (toast) => ($("form", toast) ? 30000 : 9000); // ms; a message that offers Undo gives people time to read
function removeLater(toast) {
  if (toast.dataset.timed) return;
  toast.dataset.timed = "yes";
  if (["good", "info"].includes(toast.dataset.tone)) {
    const leave = () => (toast.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : toast.remove());
    setTimeout(leave, duration(toast));
  }
}
function showMessage(text, tone) {
  const toast = document.createElement("div");
  const sentence = document.createElement("span");
  const close = document.createElement("button");
  toast.className = "toast";
  toast.dataset.tone = tone;
  sentence.textContent = text;
  Object.assign(close, { type: "button", className: "copy", textContent: "×", ariaLabel: words.close });
  close.dataset.dismiss = "";
  toast.append(sentence, close);
  $("#messages").append(toast);
  removeLater(toast);
}
// Their height, so that whatever sticks to the foot of the page and whatever gets the focus stays above them.
const measured = new CSSStyleSheet();
document.adoptedStyleSheets.push(measured);
new ResizeObserver(([{ target }]) => measured.replaceSync(`:root { --messages: ${target.offsetHeight}px; }`)).observe($("#messages"));
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
  showMessage(words.copied, "good");
});
document.addEventListener("not-kept", () => showMessage(words.failed, "bad"));

// A part that renews itself fails without a message: it keeps its content, or shows in its place that it could not be loaded.
function failsQuietly(elt) {
  if (!elt.matches("[data-live], [data-look]")) return false;
  const failed = $("[data-failed][hidden]", elt);
  if (failed) {
    failed.hidden = false;
    failed.previousElementSibling.hidden = true;
    elt.removeAttribute("aria-busy");
  }
  return true;
}
// Any other failed request shows the sentence of the page that was sent, or a general one.
document.addEventListener("htmx:responseError", ({ detail }) => {
  const { verb, triggeringEvent } = detail.requestConfig;
  if ((verb === "get" || triggeringEvent?.type === "refresh") && failsQuietly(detail.elt)) return;
  const page = new DOMParser().parseFromString(detail.xhr.responseText, "text/html");
  showMessage($("[data-error], .toast > span", page)?.textContent.trim() || words.failed, "bad");
});
document.addEventListener("htmx:sendError", ({ detail }) => failsQuietly(detail.elt) || showMessage(words.offline, "bad"));

// A part that is morphed keeps what a script has shown or hidden, what a person has opened, and the focus where a script has put it.
const scripted = ":is([data-copy], [data-open], [data-dismiss], [data-keys-choice])";
const keptOnMorph = {
  hidden: (element) => element.matches(`${scripted}, [data-scripted], [data-scriptless]`),
  open: (element) => element.matches("details"),
  tabindex: (element) => element === document.activeElement,
};
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !keptOnMorph[name]?.(element);
// A field that is not sent while something else is chosen keeps what was typed: the server does not know of it.
Idiomorph.defaults.callbacks.beforeNodeMorphed = (element) => !(element.disabled && element.closest("[data-only-with]"));

// A strip of tabs may be too narrow for all of them: the current tab is scrolled into the middle.
function scrollToTab(tab) {
  const strip = tab.parentElement;
  const [outer, inner] = [strip, tab].map((element) => element.getBoundingClientRect());
  if (inner.right > outer.right || inner.left < outer.left)
    strip.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
}

// Countdowns: the server wrote the first text in the format of this function (frame/formats.py).
function count(time) {
  const minutes = Math.round((new Date(time.dateTime) - Date.now()) / 60000);
  const left = Math.abs(minutes);
  const [days, hours, rest] = [Math.floor(left / 1440), Math.floor((left % 1440) / 60), left % 60];
  const parts = days ? [[days, words.day], [hours, words.hour]] : [[hours, words.hour], [rest, words.minute]];
  const text = parts.filter(([n]) => n).slice(0, days > 2 ? 1 : 2).map((part) => part.join(" ")).join(" ") || `0 ${words.minute}`;
  if (time.dataset.countdown === "age") return void (time.textContent = text);
  time.textContent = (minutes < 0 ? words.late : time.dataset.left || "{time}").replace("{time}", text);
  time.dataset.due = minutes < 0 ? "late" : minutes < 240 ? "soon" : "";
}
setInterval(() => $$("time[data-countdown]").forEach(count), 30000);

// The title of a time gives the instant in the reader's own time zone too, once the pointer is over it.
document.addEventListener("mouseover", ({ target }) => {
  const time = target.closest?.("time[datetime]");
  if (!time || time.dataset.zoned) return;
  time.dataset.zoned = "yes";
  const own = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
  time.title = `${time.title ? `${time.title}\n` : ""}${words.yours} ${own.format(new Date(time.dateTime))}`;
});

// Theme: applied at once, and stored in the cookie from which the server draws the next page.
function applyTheme(value) {
  if (value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  const age = value === "system" ? 0 : 31536000;
  document.cookie = `waybill_theme=${value}; path=/; max-age=${age}; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  $$("[data-theme-choice]").forEach((b) => b.setAttribute("aria-pressed", String(b.value === value)));
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("button, summary") ?? event.target;
  $$("details[data-menu][open]").forEach((menu) => menu.contains(event.target) || (menu.open = false));
  if (target.matches("[data-dismiss]")) target.closest(".toast").remove();
  if (target.matches("[data-open]")) document.getElementById(target.dataset.open).showModal();
  if (target.matches("[data-theme-choice]")) {
    event.preventDefault();
    applyTheme(target.value);
  }
  if (event.target.matches("dialog")) event.target.close();
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") $$("details[data-menu][open]").forEach((menu) => ((menu.open = false), $("summary", menu).focus()));
});

whenReady((root) => {
  $$(`${scripted}[hidden]`, root).forEach((e) => (e.hidden = false));
  $$("#messages .toast").forEach(removeLater);
  $$("time[data-countdown]", root).forEach(count);
  $$(".tabs [aria-current]", root).forEach(scrollToTab);
});
document.cookie = "waybill_unscripted=; path=/; max-age=0; samesite=lax"; // scripts work; frame/unscripted.py set it without them
