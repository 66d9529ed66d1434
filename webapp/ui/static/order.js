/* The page of one order: its beat while somebody looks at it, units by line, the slider of the past. Everything works
   without this file; what it alone makes useful is served `hidden` and marked data-scripted, and what it makes needless is
   marked data-scriptless. */
(() => {
  "use strict";
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Presence: a beat on arrival and every 15 s while the page is seen; it says when it leaves. After a refusal it is silent.
  const present = document.querySelector("[data-beat]");
  let beating = Boolean(present);
  const beat = () => beating && !document.hidden && window.htmx?.trigger(present, "beat");
  if (present) {
    const stop = ({ detail }) => detail.elt === present && (beating = false);
    document.addEventListener("htmx:responseError", stop);
    setTimeout(beat, 400);
    setInterval(beat, 15000);
    document.addEventListener("visibilitychange", beat);
    addEventListener("pagehide", () => {
      const told = new FormData();
      told.append("leaves", "1");
      told.append("csrf_token", JSON.parse(document.body.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "");
      navigator.sendBeacon(present.getAttribute("hx-post"), told);
    });
  }

  // Units by line: touching a line means choosing it; the sum of what lies in the box is told.
  function tell(box) {
    const some = box.querySelector("input[value=some]");
    const sum = box.querySelector("output");
    const chosen = $$("input[type=checkbox]:checked", box).map((tick) => tick.closest("li"));
    const units = chosen.reduce((total, row) => total + (Number(row.querySelector("input[type=number]").value) || 0), 0);
    sum.textContent = some.checked ? sum.dataset.one.replace("{units}", units).replace("{lines}", chosen.length) : "";
  }
  document.addEventListener("input", ({ target }) => {
    const box = target.closest("[data-quantities]");
    if (!box) return;
    const row = target.closest("li");
    if (row) {
      box.querySelector("input[value=some]").checked = true;
      if (target.type === "number") row.querySelector("input[type=checkbox]").checked = Number(target.value) > 0;
    }
    tell(box);
  });
  document.addEventListener("click", ({ target }) => {
    const pick = target.closest("[data-pick]");
    if (!pick) return;
    const box = pick.closest("[data-quantities]");
    $$("input[type=checkbox]", box).forEach((tick) => (tick.checked = pick.dataset.pick === "all"));
    box.querySelector("input[value=some]").checked = true;
    tell(box);
  });

  // The slider of the past moves the list of moments, which is the form's own field; the newest stands on the right.
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("[data-slides]")) return;
    const list = document.getElementById(target.dataset.slides);
    list.selectedIndex = list.options.length - 1 - target.value;
  });

  function ready(root) {
    $$("[data-scripted]", root).forEach((element) => (element.hidden = false));
    $$("[data-scriptless]", root).forEach((element) => (element.hidden = true));
    $$("[data-quantities]", root).forEach(tell);
    $$("[data-slides]", root).forEach((slider) => {
      const list = document.getElementById(slider.dataset.slides);
      slider.max = list.options.length - 1;
      slider.value = list.options.length - 1 - list.selectedIndex;
    });
  }
  document.addEventListener("htmx:load", ({ detail }) => ready(detail.elt));
  ready(document);
})();
