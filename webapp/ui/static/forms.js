/* Forms: input that was not saved is kept in this tab, a form is sent once, the first error gets the focus. */
import { $, $$, whenReady } from "./page.js";

/* Input is kept in sessionStorage until the form is saved or its owner signs out; secrets are never kept. The key names the form's
   address and its hidden fields, since these say what the form is about: one selection of orders is not another. */
const drawnAnew = ["csrf_token", "submission_key", "order_version"]; // hidden fields that differ each time a form is drawn
function storageKey(form) {
  const about = $$("input[type=hidden]", form).filter(({ name }) => !drawnAnew.includes(name));
  const query = about.map(({ name, value }) => `${name}=${value}`).sort().join("&");
  return `kept:${form.getAttribute("action") || location.pathname}?${query}`;
}
const neverKept = "[type=hidden], [type=password], [type=file]";
const mayKeep = "form[data-keep] :is(input, select, textarea), form:not([data-drafts]) textarea[data-keep]";
const keptFields = (form) => [...form.elements].filter((field) => field.matches(mayKeep) && !field.matches(neverKept));
const keptIn = (form) => JSON.parse(sessionStorage.getItem(storageKey(form)) ?? "{}");
const forgetInput = (key) => sessionStorage.removeItem(key);
const isTick = (field) => ["checkbox", "radio"].includes(field.type);
const nameOf = (field) => (isTick(field) ? `${field.name}=${field.value}` : field.name);
const options = (field, how) => [...field.options].filter((option) => option[how]).map((option) => option.value).join("\n");
const drawnValue = (field) => (field.options ? options(field, "defaultSelected") : isTick(field) ? field.defaultChecked : field.defaultValue);
const value = (field) => (field.options ? options(field, "selected") : isTick(field) ? field.checked : field.value);
function keep(form) {
  const fields = keptFields(form), kept = fields.length ? keptIn(form) : {};
  fields.forEach((field) => {
    const [name, was, is] = [nameOf(field), drawnValue(field), value(field)];
    if (name in kept || is !== was) kept[name] = [kept[name]?.[0] ?? was, is];
  });
  if (Object.keys(kept).length) sessionStorage.setItem(storageKey(form), JSON.stringify(kept));
}
// A field gets its kept input back only if the server still draws the value that it drew when the input was typed.
function putBack(form) {
  const fields = keptFields(form), kept = fields.length ? keptIn(form) : {};
  fields.forEach((field) => {
    const [was, is] = kept[nameOf(field)] ?? [];
    if (is === undefined || was !== drawnValue(field)) return;
    if (field.options) [...field.options].forEach((option) => (option.selected = is.split("\n").includes(option.value)));
    else if (isTick(field)) field.checked = is;
    else field.value = is;
  });
}
// On the window, after all listeners of the document: order.js ticks a line when its quantity is typed.
for (const kind of ["input", "change", "click"])
  addEventListener(kind, ({ target }) => {
    const form = target.closest?.("form");
    if (form) keep(form);
  });

// This page follows a form sent without htmx: the form's input is saved, unless the page shows an error or was reached by Back.
function forgetSent() {
  const sent = sessionStorage.getItem("sent"), [navigation] = performance.getEntriesByType("navigation");
  sessionStorage.removeItem("sent");
  if (sent && navigation?.type !== "back_forward" && !$("[data-error], [aria-invalid=true], form [role=alert]")) forgetInput(sent);
}
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const { elt, verb } = detail.requestConfig; // detail.elt is what is left of the form, or the element around it
  if (detail.successful && verb === "post" && elt.matches("form")) forgetInput(storageKey(elt));
});

// Signing out deletes what this tab and every other tab has kept.
function forgetEverywhere() {
  sessionStorage.clear();
  localStorage.setItem("waybill-forgot", Date.now());
}
addEventListener("storage", ({ key }) => key === "waybill-forgot" && sessionStorage.clear());

// A form is sent once, however often one clicks; htmx forms do it by hx-disabled-elt. After 2 s it can be sent again, since the
// answer may be a file, which leaves the page as it is.
const sending = new Set();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-forget]")) forgetEverywhere();
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (sending.has(form)) return event.preventDefault();
  sending.add(form);
  setTimeout(() => sending.delete(form), 2000);
  if (keptFields(form).length) sessionStorage.setItem("sent", storageKey(form));
});
addEventListener("pageshow", () => sending.clear());

/* Fields that count only while a box is ticked are disabled without it. */
const followTick = (box) => $$(`fieldset[data-needs="${box.id}"]`).forEach((part) => (part.disabled = !box.checked));
document.addEventListener("change", ({ target }) => target.id && isTick(target) && followTick(target));
whenReady(() => $$("fieldset[data-needs]").forEach(({ dataset }) => followTick(document.getElementById(dataset.needs))));

/* Fields that belong to some values of a choice beside them, each in a line of its own (data-only-with="kind=mail"), are hidden and
   not sent while another is chosen. */
function followChoice(form) {
  for (const part of $$("[data-only-with]", form)) {
    const [name, values] = part.dataset.onlyWith.split("=");
    const group = (part.name ?? "").replace(/[^-]*$/, "");
    const off = !values.split("\n").includes(form.elements[group + name]?.value);
    part.closest(".field").hidden = off;
    for (const field of [part, ...$$("input", part)]) field.disabled = off;
  }
}
for (const kind of ["input", "change"]) document.addEventListener(kind, ({ target }) => target.form && followChoice(target.form));
whenReady((root) => $$("form", root).forEach(followChoice));

/* Focuses the first field with an error below `root` and returns it, if there is one. */
export function focusError(root) {
  const wrong = $("[aria-invalid=true]:not([data-sample] *)", root);
  if (wrong) wrong.focus();
  return wrong;
}

forgetSent();
whenReady((root) => $$("form", root).forEach(putBack));
focusError(document);
