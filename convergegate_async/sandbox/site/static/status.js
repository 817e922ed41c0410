// The owner's pages keep themselves as they stand. All of their buttons work without it.
"use strict";

(() => {
  const PAUSE = 2000;
  const PATIENCE = 10; // times what a look takes: the sandbox has others to serve
  const main = document.querySelector("main");
  const address = main.dataset.address;
  document.documentElement.classList.add("scripted");

  // -- what changes -----------------------------------------------------------------------

  const shown = new Map();
  for (const part of main.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);

  /** Tell an element from others by what it is, leads to or does, or else where it is. */
  function selectorOf(one) {
    const home = one.parentElement;
    const having = (name, value) => value && `[${name}="${CSS.escape(value)}"]`;
    const inside = (place) => place && `${place} > ${one.localName}`;
    return having("href", one.getAttribute("href"))
      || inside(having("action", home.getAttribute("action")))
      || having("id", one.id)
      || inside(having("id", home.id));
  }

  /** List what *selector* means, the oldest first: newer rows come in before it. */
  function alike(part, selector) {
    return selector ? [...part.querySelectorAll(selector)].reverse() : [];
  }

  /** Tell what a swap would lose: what is typed, opened, and has the focus. */
  function remember(part) {
    const active = document.activeElement;
    const focus = active && part.contains(active) ? active : null;
    const selector = focus && selectorOf(focus);
    return {
      selector,
      place: alike(part, selector).indexOf(focus),
      cursor: focus && typeof focus.selectionStart === "number"
        ? [focus.selectionStart, focus.selectionEnd] : null,
      open: [...part.querySelectorAll("details[open][id]")].map((one) => one.id),
      typed: [...part.querySelectorAll("input[id]")]
        .filter((one) => one.value !== one.defaultValue)
        .map((one) => [one.id, one.value]),
    };
  }

  function restore(part, { selector, place, cursor, open, typed }) {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, value] of typed) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    const focus = alike(part, selector)[place];
    focus?.focus({ preventScroll: true });
    if (focus && cursor) focus.setSelectionRange(...cursor);
  }

  /** Tell whether somebody is copying out of a part just now. */
  function isSelected(part) {
    const selection = document.getSelection();
    return !selection.isCollapsed && selection.containsNode(part, true);
  }

  function swap(page) {
    for (const [id, before] of shown) {
      const part = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (!fresh || fresh.innerHTML === before || isSelected(part)) continue;
      const state = remember(part);
      part.replaceChildren(...document.adoptNode(fresh.cloneNode(true)).childNodes);
      shown.set(id, fresh.innerHTML);
      restore(part, state);
    }
  }

  const live = document.getElementById("live");
  const isLive = () => live.getAttribute("aria-pressed") === "true";

  async function look() {
    if (document.hidden || !isLive()) return;
    try {
      const answer = await fetch(address, { cache: "no-store" });
      const text = await answer.text();
      if (answer.ok && isLive()) swap(new DOMParser().parseFromString(text, "text/html"));
      live.classList.toggle("away", !answer.ok);
    } catch {
      live.classList.add("away"); // it may come back
    }
  }

  if (live) {
    live.hidden = false;
    live.addEventListener("click", () => {
      live.setAttribute("aria-pressed", String(!isLive()));
      look();
    });
    const again = async () => {
      const begun = performance.now();
      await look();
      setTimeout(again, Math.max(PAUSE, PATIENCE * (performance.now() - begun)));
    };
    setTimeout(again, PAUSE);
    document.addEventListener("visibilitychange", look);
  }

  // -- the form of faults: only what its kind has --------------------------------------------

  const kind = document.getElementById("fault-kind");
  if (kind) {
    const meaning = document.getElementById("fault-meaning");
    const seconds = document.getElementById("fault-seconds");
    // A narrow screen has no room for what an option means: it stands above.
    for (const option of kind.options) option.textContent = option.value;
    const fit = () => {
      const chosen = kind.selectedOptions[0].dataset;
      const wanted = chosen.fields.split(" ");
      meaning.textContent = `: ${chosen.meaning}`;
      seconds.placeholder = chosen.seconds ?? "";
      for (const field of document.querySelectorAll("[data-field]")) {
        field.hidden = !wanted.includes(field.dataset.field);
        for (const input of field.querySelectorAll("input, select")) input.disabled = field.hidden;
      }
    };
    kind.addEventListener("change", fit);
    window.addEventListener("pageshow", fit); // a browser fills in what was chosen before
    fit();
  }
})();
