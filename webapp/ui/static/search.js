/* The search box as a combobox: what is typed is posted, and the completions at the cursor are listed. Arrows choose, Enter takes
   the chosen one, Tab the chosen or the first one, Escape closes the list. Without this script the box is a plain form. */
import { $, $$ } from "./page.js";

function complete(form) {
  const box = $("input[type=search]", form);
  const list = $(".completions", form);
  let asked = 0, waiting, chosen = -1, listedFor = "";
  Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })
    .forEach(([name, value]) => box.setAttribute(name, value));
  const options = () => $$("[role=option]", list);

  function close() {
    asked += 1;
    clearTimeout(waiting);
    list.replaceChildren();
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }
  function choose(at) {
    const all = options();
    if (!all.length) return;
    chosen = (at + all.length) % all.length;
    all.forEach((option, place) => option.setAttribute("aria-selected", String(place === chosen)));
    box.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  }
  function take(option) {
    const { insert, start, end } = option.dataset;
    box.setRangeText(insert, Number(start), Number(end), "end");
    close();
    box.focus();
    if (insert.endsWith(":")) ask();
  }
  async function ask() {
    const mine = (asked += 1), typed = box.value;
    const body = new FormData(form);
    body.set("at", String(box.selectionStart ?? box.value.length));
    try {
      const answer = await fetch(form.dataset.completeUrl, { method: "POST", body, headers: { "HX-Request": "true" } });
      const text = answer.ok ? await answer.text() : "";
      if (mine !== asked || document.activeElement !== box) return;
      list.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.children);
      listedFor = typed;
      chosen = -1;
      box.removeAttribute("aria-activedescendant");
      box.setAttribute("aria-expanded", String(options().length > 0));
    } catch {
      close();
    }
  }
  // A completion replaces a part of the text that it was requested for. If the text has changed since, it is requested again.
  async function takeNow(find) {
    if (box.value !== listedFor) {
      clearTimeout(waiting);
      await ask();
    }
    const option = box.value === listedFor && options().find(find);
    if (option) take(option);
  }
  const like = ({ dataset }) => (option) => option.dataset.insert === dataset.insert;
  const askSoon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 120);
  };

  box.addEventListener("input", askSoon);
  box.addEventListener("focus", () => box.value || askSoon());
  box.addEventListener("click", () => options().length || askSoon());
  box.addEventListener("blur", () => setTimeout(() => document.activeElement === box || close(), 150));
  box.addEventListener("keydown", (event) => {
    const all = options();
    if (event.key === "ArrowDown") {
      if (all.length) choose(chosen + 1);
      else ask();
    } else if (event.key === "ArrowUp" && all.length) choose(chosen - 1);
    else if (event.key === "Escape" && all.length) {
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && chosen >= 0) takeNow(like(all[chosen]));
    else if (event.key === "Tab" && all.length && !event.shiftKey) takeNow(chosen < 0 ? () => true : like(all[chosen]));
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const option = event.target.closest("[role=option]");
    if (option) takeNow(like(option));
  });
  form.addEventListener("submit", close);
}

const form = $(".search-box"); // pages without the bar have none
if (form) complete(form);
