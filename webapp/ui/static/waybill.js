/* What the pages do beyond links and forms. Everything essential works without this file.

   Attributes it looks at
     data-countdown   on <time>: its text is renewed every 30 s, data-due says soon or late
     data-copy        a button that copies its value        data-failed   shown where a part could not be loaded
     data-live        topics, such as "orders" or "orders-12": the element gets a `refresh` event when one of them changed
     data-look        gets `refresh` in the place of many rows, and by the clock while nothing can be heard
     data-list        rows inside can be walked by j k x o  data-keep     a form, or a text of one, whose typing stays in this tab
     data-menu        a <details> that closes by itself     data-open     a button that opens the <dialog> it names
     data-act         a link or button that Ctrl K offers by its value or text (palette.js)
     data-undo        a button of a message that "u" presses
     data-go          a link that "g" and its letter follow data-search   the search box that "/" leads to
     data-keys-choice a label whose box turns single keys on and off
     data-sample      a drawn example: its errors ask for nothing
   Elements that are useless without a script are served `hidden` and shown here. */
(() => {
  "use strict";
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const words = $("#words").dataset;
  const typing = (element) => element?.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  const inHand = new Set();

  // Messages: what the server sends stands in #messages; what only the browser knows is said in the same place.
  const linger = (toast) => ($("form", toast) ? 30000 : 9000); // what can be undone waits for who reads slowly
  function settle(toast) {
    if (toast.dataset.settled) return;
    toast.dataset.settled = "yes";
    if (["good", "info"].includes(toast.dataset.tone)) {
      const leave = () => (toast.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : toast.remove());
      setTimeout(leave, linger(toast));
    }
  }
  function say(text, tone) {
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
    settle(toast);
  }

  // Countdowns: the server wrote the first text in the same form.
  function count(time) {
    const minutes = Math.round((new Date(time.dateTime) - Date.now()) / 60000);
    const left = Math.abs(minutes);
    const [days, hours, rest] = [Math.floor(left / 1440), Math.floor((left % 1440) / 60), left % 60];
    const parts = days ? [[days, words.day], [hours, words.hour]] : [[hours, words.hour], [rest, words.minute]];
    const text = parts.filter(([n]) => n).slice(0, days > 2 ? 1 : 2).map((part) => part.join(" ")).join(" ") || `0 ${words.minute}`;
    time.textContent = minutes < 0 ? words.late.replace("{time}", text) : text;
    time.dataset.due = minutes < 0 ? "late" : minutes < 240 ? "soon" : "";
  }

  // What was typed and not yet taken stays with this tab until it is, or until its owner signs out; never what is secret.
  // Its name says where the form leads and, by the hidden fields, what it is about: one choice of orders is not another.
  const again = ["csrf_token", "submission_key", "order_version"]; // differ each time that a form is drawn
  function keptAs(form) {
    const about = $$("input[type=hidden]", form).filter(({ name }) => !again.includes(name));
    return `kept:${form.getAttribute("action") || location.pathname}?${about.map(({ name, value }) => `${name}=${value}`).sort().join("&")}`;
  }
  const secret = "[type=hidden], [type=password], [type=file]";
  const keptFields = (form) => [...form.elements].filter((field) => field.matches("form[data-keep] :is(input, select, textarea), textarea[data-keep]") && !field.matches(secret));
  const keptIn = (form) => JSON.parse(sessionStorage.getItem(keptAs(form)) ?? "{}");
  const ticks = (field) => ["checkbox", "radio"].includes(field.type);
  const nameOf = (field) => (ticks(field) ? `${field.name}=${field.value}` : field.name);
  const chosen = (field, how) => [...field.options].filter((option) => option[how]).map((option) => option.value).join("\n");
  const drawn = (field) => (field.options ? chosen(field, "defaultSelected") : ticks(field) ? field.defaultChecked : field.defaultValue);
  const stands = (field) => (field.options ? chosen(field, "selected") : ticks(field) ? field.checked : field.value);
  function keep(form) {
    const fields = keptFields(form), kept = fields.length ? keptIn(form) : {};
    fields.forEach((field) => {
      const [name, was, is] = [nameOf(field), drawn(field), stands(field)];
      if (name in kept || is !== was) kept[name] = [kept[name]?.[0] ?? was, is];
    });
    if (Object.keys(kept).length) sessionStorage.setItem(keptAs(form), JSON.stringify(kept));
  }
  // Where the desk says something else by now than it did then, its word stands.
  function putBack(form) {
    const fields = keptFields(form), kept = fields.length ? keptIn(form) : {};
    fields.forEach((field) => {
      const [was, is] = kept[nameOf(field)] ?? [];
      if (is === undefined || was !== drawn(field)) return;
      if (field.options) [...field.options].forEach((option) => (option.selected = is.split("\n").includes(option.value)));
      else if (ticks(field)) field.checked = is;
      else field.value = is;
    });
  }
  const taken = (name) => sessionStorage.removeItem(name);

  // A page that a plain form led to: what was sent is forgotten, unless the page tells of a mistake or is one gone back to.
  function settleSent() {
    const sent = sessionStorage.getItem("sent"), [way] = performance.getEntriesByType("navigation");
    sessionStorage.removeItem("sent");
    if (sent && way?.type !== "back_forward" && !$("[data-error], [aria-invalid=true], form [role=alert]")) taken(sent);
  }

  // Whoever signs out leaves nothing in other tabs either.
  function forget() {
    sessionStorage.clear();
    localStorage.setItem("waybill-forgot", Date.now());
  }
  addEventListener("storage", ({ key }) => key === "waybill-forgot" && sessionStorage.clear());

  // Keys of one letter get in the way of who speaks to the browser, so they can be turned off (WCAG 2.1.4).
  const singleKeys = () => localStorage.getItem("waybill-keys") !== "off";

  // Whatever arrives, by page or by swap, is made ready here. A part that is morphed keeps what a script has shown or hidden,
  // what a person has opened, and the focus where a script has put it.
  const scripted = ":is([data-copy], [data-open], [data-dismiss], [data-keys-choice])";
  const madeHere = {
    hidden: (element) => element.matches(`${scripted}, [data-scripted], [data-scriptless]`),
    open: (element) => element.matches("details"),
    tabindex: (element) => element === document.activeElement,
  };
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !madeHere[name]?.(element);
  function ready(root) {
    $$(`${scripted}[hidden]`, root).forEach((e) => (e.hidden = false));
    $$("[data-keys-choice] input", root).forEach((box) => (box.checked = singleKeys()));
    $$("#messages .toast").forEach(settle);
    $$("time[data-countdown]", root).forEach(count);
    $$("form", root).forEach(putBack);
    $$(".tabs [aria-current]", root).forEach(show);
  }
  // The tab that is open may lie beyond the edge of a strip that is too narrow for all.
  function show(tab) {
    const strip = tab.parentElement;
    const [its, ours] = [strip, tab].map((element) => element.getBoundingClientRect());
    if (ours.right > its.right || ours.left < its.left) strip.scrollLeft += ours.left - its.left - (its.width - ours.width) / 2;
  }
  function focusError(root) {
    const wrong = $("[aria-invalid=true]:not([data-sample] *)", root);
    if (wrong) wrong.focus();
    return wrong;
  }

  // Theme: shown at once, kept in the cookie from which the server draws the next page.
  function theme(value) {
    if (value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
    const age = value === "system" ? 0 : 31536000;
    document.cookie = `waybill_theme=${value}; path=/; max-age=${age}; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
    $$("[data-theme-choice]").forEach((b) => b.setAttribute("aria-pressed", String(b.value === value)));
  }

  document.addEventListener("click", async (event) => {
    const target = event.target.closest("button, summary") ?? event.target;
    $$("details[data-menu][open]").forEach((menu) => menu.contains(event.target) || (menu.open = false));
    if (target.matches("[data-dismiss]")) target.closest(".toast").remove();
    if (target.matches("[data-open]")) document.getElementById(target.dataset.open).showModal();
    if (target.matches("[data-theme-choice]")) {
      event.preventDefault();
      theme(target.value);
    }
    if (target.matches("[data-copy]")) {
      await navigator.clipboard.writeText(target.dataset.copy);
      target.classList.add("done");
      setTimeout(() => target.classList.remove("done"), 1500);
      say(words.copied, "good");
    }
    if (event.target.matches("dialog")) event.target.close();
  });

  // A form is sent once, however often one clicks; htmx forms say so themselves by hx-disabled-elt. It can be sent again in a
  // moment, since an answer may be a file that leaves the page as it is.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-forget]")) forget();
    if (form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (inHand.has(form)) return event.preventDefault();
    inHand.add(form);
    setTimeout(() => inHand.delete(form), 2000);
    if (keptFields(form).length) sessionStorage.setItem("sent", keptAs(form));
  });
  addEventListener("pageshow", () => inHand.clear());
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-keys-choice] input")) return;
    localStorage.setItem("waybill-keys", target.checked ? "on" : "off");
    $$("[data-keys-choice] input").forEach((box) => (box.checked = target.checked));
  });

  // On the window, since other scripts answer first: a number typed may tick its line.
  for (const kind of ["input", "change", "click"])
    addEventListener(kind, ({ target }) => {
      const form = target.closest?.("form");
      if (form) keep(form);
    });

  // Hovering a time tells it in the reader's own zone too.
  document.addEventListener("mouseover", ({ target }) => {
    const time = target.closest?.("time[datetime]");
    if (!time || time.dataset.told) return;
    time.dataset.told = "yes";
    const own = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
    time.title = `${time.title ? `${time.title}\n` : ""}${words.yours} ${own.format(new Date(time.dateTime))}`;
  });

  // Keys: never while typing, never with a modifier.
  const rows = () => $$("[data-list] tbody tr").filter((row) => !row.hidden && $("a", row));
  const opener = (row) => row && ($("a.number", row) ?? $("a", row));
  let marked = "";
  function walk(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("at"));
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    all[at]?.classList.remove("at");
    next.classList.add("at");
    marked = next.id;
    opener(next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
  let before = "";
  const keys = {
    j: () => walk(1),
    k: () => walk(-1),
    o: () => opener($("tr.at"))?.click(),
    x: () => $("tr.at input[type=checkbox]")?.click(),
    n: () => $("a[rel=next]")?.click(),
    p: () => $("a[rel=prev]")?.click(),
    u: () => $$("#messages [data-undo]").at(-1)?.click(),
    "/": () => ($("[data-search]") ?? $("[type=search]"))?.select(),
    "?": () => $("#keys").open || $("#keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      $$("details[data-menu][open]").forEach((menu) => ((menu.open = false), $("summary", menu).focus()));
      if (event.target.matches("[data-search]")) event.target.blur();
    }
    if (!singleKeys() || typing(event.target) || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const act = before === "g" ? () => $(`[data-go="${CSS.escape(event.key)}"]`)?.click() : keys[event.key];
    before = before === "g" ? "" : event.key;
    if (act) {
      event.preventDefault();
      act();
    }
  });

  // What changes elsewhere. One stream while the tab is seen (browsers allow six per host), else a look every 20 s.
  let stream, retry;
  const changed = new Set();
  const refresh = (element) => htmx.trigger(element, "refresh");
  function flush() {
    const concerned = $$("[data-live]").filter((element) => element.dataset.live.split(" ").some((topic) => changed.has(topic)));
    const listed = concerned.filter((element) => element.closest("[data-look]"));
    changed.clear();
    const many = listed.length > 5;
    if (many) $$("[data-look]").forEach(refresh);
    concerned.forEach((element) => (many && listed.includes(element)) || refresh(element));
  }
  function hear({ data }) {
    const { kind, ids } = JSON.parse(data);
    if (!changed.size) setTimeout(flush, 700);
    [kind, ...ids.map((id) => `${kind}-${id}`)].forEach((topic) => changed.add(topic));
  }
  const lookAgain = () => document.hidden || $$("[data-look], [data-live]:not([data-look] *)").forEach(refresh);
  const hearing = (yes) => ($("#live-state") ? ($("#live-state").hidden = yes) : 0);
  function listen() {
    clearTimeout(retry);
    stream?.close();
    stream = null;
    if (document.hidden || !document.body.dataset.liveUrl) return;
    stream = new EventSource(document.body.dataset.liveUrl);
    stream.onmessage = hear;
    stream.onopen = () => hearing(true);
    stream.onerror = () => {
      hearing(false);
      if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(listen, 60000);
    };
  }
  document.addEventListener("visibilitychange", () => {
    listen();
    lookAgain();
  });
  setInterval(() => stream?.readyState === EventSource.OPEN || lookAgain(), 20000);
  setInterval(() => $$("time[data-countdown]").forEach(count), 30000);

  // Answers may come in another order than they were asked for. A part never goes back to what was asked for earlier than what
  // it shows, and what renews itself never undoes what a person asked for meanwhile. Messages are added: none replaces another.
  const byHand = ({ triggeringEvent }) => ["click", "change", "submit"].includes(triggeringEvent?.type);
  const shows = new Map(); // by the ids of parts: number of the newest request drawn, of a person's, and of all begun by then
  let asked = 0, answered = null;
  function draw(detail) {
    const { id } = detail.target;
    if (!answered || !id || id === "messages" || !detail.shouldSwap) return;
    const { newest, chosen, begun } = shows.get(id) ?? { newest: 0, chosen: 0, begun: 0 };
    const { number, verb } = answered;
    if (verb !== "get" || (byHand(answered) && number > chosen)) shows.set(id, { newest: Math.max(newest, number), chosen: number, begun: asked });
    else if (!byHand(answered) && number > begun && number >= newest) shows.set(id, { newest: number, chosen, begun });
    else detail.shouldSwap = false;
  }
  document.addEventListener("htmx:beforeRequest", ({ detail }) => (detail.requestConfig.number = asked += 1));
  document.addEventListener("htmx:beforeSwap", ({ detail }) => ((answered = detail.requestConfig), draw(detail)));
  document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => draw(detail));
  document.addEventListener("htmx:afterRequest", () => (answered = null));

  // htmx: swapped parts are made ready; a failure is told where refusals are, by the page's own sentence if it has one.
  document.addEventListener("htmx:load", ({ detail }) => ready(detail.elt));
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (marked) document.getElementById(marked)?.classList.add("at");
    const { verb } = detail.requestConfig ?? {};
    if (focusError(detail.elt) || document.activeElement !== document.body || !byHand(detail.requestConfig ?? {})) return;
    // What had the focus went with the old part: the new one gets it, at the heading that it names.
    if (verb === "get") $("[data-focus]", detail.elt)?.focus();
    else if (detail.elt.id && detail.elt.id === detail.target?.id) {
      detail.elt.tabIndex = -1;
      detail.elt.focus({ preventScroll: true });
    }
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { elt, verb } = detail.requestConfig; // detail.elt is what is left of the form, or what it stood in
    if (detail.successful && verb === "post" && elt.matches("form")) taken(keptAs(elt));
  });
  // While a part was renewing itself its address may have changed, by newer rows for example, or the page's, by another tab: the
  // answer is of the past.
  const renewals = ["refresh", "order-changed", "run-ended"];
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { elt, headers, path, triggeringEvent } = detail.requestConfig;
    const same = elt.getAttribute("hx-get") === path && headers["HX-Current-URL"] === location.href;
    if (same || !renewals.includes(triggeringEvent?.type)) return;
    detail.shouldSwap = false;
    refresh(elt);
  });
  // A part that renews itself is silent: it still says what it did, or shows in its own place that it never came.
  function silent(elt) {
    if (!elt.matches("[data-live], [data-look]")) return false;
    const failed = $("[data-failed][hidden]", elt);
    if (failed) {
      failed.hidden = false;
      failed.previousElementSibling.hidden = true;
      elt.removeAttribute("aria-busy");
    }
    return true;
  }
  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (detail.requestConfig.verb === "get" && silent(detail.elt)) return;
    const page = new DOMParser().parseFromString(detail.xhr.responseText, "text/html");
    say($("[data-error], .toast > span", page)?.textContent.trim() || words.failed, "bad");
  });
  document.addEventListener("not-kept", () => say(words.failed, "bad"));
  document.addEventListener("htmx:sendError", ({ detail }) => silent(detail.elt) || say(words.offline, "bad"));

  document.cookie = "waybill_unscripted=; path=/; max-age=0; samesite=lax"; // scripts were off before, and pages came whole
  settleSent();
  ready(document);
  focusError(document);
  listen();
})();
