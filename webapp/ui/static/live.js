/* Parts that renew themselves: what changes elsewhere is heard, and an old answer never replaces a newer one. */
import { focusError } from "./forms.js";
import { $, $$ } from "./page.js";

// One stream while the tab is visible, since browsers allow six connections per host. Without it the parts are renewed every 20 s.
let stream, retry;
const changed = new Set(); // topics
const heard = new Map(); // by topic, the number of requests that were sent before its last news
const about = (element) => element.dataset.live.split(" ");
const refresh = (element) => htmx.trigger(element, "refresh");
let renewed = -3000; // when parts were renewed last, in ms: what changes all the time is asked for every 3 s
const untilRenewal = () => Math.max(700, renewed + 3000 - performance.now());
function refreshChanged() {
  const concerned = $$("[data-live]").filter((element) => about(element).some((topic) => changed.has(topic)));
  const listed = concerned.filter((element) => element.closest("[data-look]"));
  changed.clear();
  if (concerned.length) renewed = performance.now();
  const many = listed.length > 5;
  if (many) $$("[data-look]").forEach(refresh);
  concerned.forEach((element) => (many && listed.includes(element)) || refresh(element));
}
function hear({ data }) {
  const { kind, ids } = JSON.parse(data);
  if (!changed.size) setTimeout(refreshChanged, untilRenewal());
  [kind, ...ids.map((id) => `${kind}-${id}`)].forEach((topic) => (changed.add(topic), heard.set(topic, sent)));
}
const refreshAll = () => document.hidden || $$("[data-look], [data-live]:not([data-look] *)").forEach(refresh);
const showConnected = (yes) => ($("#live-state") ? ($("#live-state").hidden = yes) : 0);
function listen() {
  clearTimeout(retry);
  stream?.close();
  stream = null;
  if (document.hidden || !document.body.dataset.liveUrl) return;
  stream = new EventSource(document.body.dataset.liveUrl);
  stream.onmessage = hear;
  stream.onopen = () => showConnected(true);
  stream.onerror = () => {
    showConnected(false);
    if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(listen, 60000);
  };
}
document.addEventListener("visibilitychange", () => {
  listen();
  refreshAll();
});
setInterval(() => stream?.readyState === EventSource.OPEN || refreshAll(), 20000);

// Answers may arrive in another order than their requests were sent. A part never goes back to an answer older than the one it
// shows, and what renews itself never undoes what a person asked for meanwhile. Messages are added: none replaces another.
const byHand = ({ triggeringEvent }) => ["click", "change", "submit"].includes(triggeringEvent?.type);
const shown = new Map(); // by the id of a part, numbers of requests: the newest drawn, the newest by hand, the last sent before it
let sent = 0, answered = null;
function decideSwap(detail) {
  const { id } = detail.target;
  if (!answered || !id || id === "messages" || !detail.shouldSwap) return;
  const { newest, chosen, begun } = shown.get(id) ?? { newest: 0, chosen: 0, begun: 0 };
  const { number, verb } = answered;
  const acts = verb !== "get" && !renewals.includes(answered.triggeringEvent?.type); // a form may renew itself, too
  if (acts || (byHand(answered) && number > chosen))
    shown.set(id, { newest: Math.max(newest, number), chosen: number, begun: sent });
  else if (!byHand(answered) && number > begun && number >= newest) shown.set(id, { newest: number, chosen, begun });
  else detail.shouldSwap = false;
}
document.addEventListener("htmx:beforeRequest", ({ detail: { elt, requestConfig } }) => {
  requestConfig.number = sent += 1;
  requestConfig.typed = typedIn(elt);
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => ((answered = detail.requestConfig), decideSwap(detail)));
document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => decideSwap(detail));
document.addEventListener("htmx:afterRequest", () => (answered = null));

// What a person asked for, such as a form, may be older than news that came while it was on its way.
document.addEventListener("htmx:afterSettle", ({ detail: { elt, requestConfig } }) => {
  if (!byHand(requestConfig ?? {})) return;
  $$("[data-live]", elt).filter((part) => about(part).some((topic) => heard.get(topic) >= requestConfig.number)).forEach(refresh);
});

// While a part was renewing itself its address may have changed, by newer rows for example, or the address of the page, by another
// tab; or somebody typed into the form that it renews. Then the answer is out of date and the part is renewed again, unless it says
// that nothing has changed.
const typedIn = (elt) => elt.hasAttribute("hx-post") && elt.closest("form") && new URLSearchParams(new FormData(elt.closest("form"))) + "";
const renewals = ["refresh", "order-changed", "run-ended"];
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { elt, headers, path, triggeringEvent, typed } = detail.requestConfig;
  detail.requestConfig.focused = detail.target.contains(document.activeElement);
  const address = elt.getAttribute("hx-get") ?? elt.getAttribute("hx-post");
  const same = address === path && headers["HX-Current-URL"] === location.href && typed === typedIn(elt);
  if (same || detail.xhr.status === 204 || !renewals.includes(triggeringEvent?.type)) return;
  detail.shouldSwap = false;
  setTimeout(refresh, 300, elt);
});

// After a swap the first error gets the focus. Where the focused element was replaced or is gone, the refusal of its form gets the
// focus, or its part, or the heading that the part names with data-focus.
function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
}
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  const config = detail.requestConfig ?? {}, asked = byHand(config);
  if (focusError(detail.elt) || document.activeElement !== document.body || !(asked || config.focused)) return;
  const refusal = $("form [role=alert]", detail.elt);
  if (refusal) focusOn(refusal);
  else if (asked && config.verb === "get") $("[data-focus]", detail.elt)?.focus();
  else if (asked && detail.elt.id && detail.elt.id === detail.target?.id) focusOn(detail.elt);
});

listen();
