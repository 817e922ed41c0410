// What the pages of a payment do by themselves. Each of them works without it.
"use strict";

(() => {
  const main = document.querySelector("main");
  const language = document.documentElement.lang;
  const locale = language === "en" ? "en-GB" : language;
  document.documentElement.classList.add("scripted");

  // -- the code: six cells over one field ---------------------------------------------

  const field = document.getElementById("blik_code");

  /** Find the code in what was typed, pasted or filled in: "kod: 123 456" as well. */
  function digitsOf(text) {
    const whole = /(?<![0-9])([0-9]{3})[\s-]?([0-9]{3})(?![0-9])/.exec(text);
    return whole ? whole[1] + whole[2] : text.replace(/[^0-9]/g, "").slice(0, 6);
  }

  function spelled(digits) {
    return digits.length > 3 ? `${digits.slice(0, 3)} ${digits.slice(3)}` : digits;
  }

  function guide(form) {
    const cells = form.querySelectorAll(".cells > span");
    const button = document.getElementById("pay");
    let sent = false;
    let before = 0;

    function show() {
      const digits = digitsOf(field.value);
      const text = spelled(digits);
      if (field.value !== text) {
        const typed = field.value.slice(0, field.selectionStart).replace(/[^0-9]/g, "");
        const count = Math.min(typed.length, digits.length);
        const place = count + (count > 3 ? 1 : 0);
        field.value = text;
        if (document.activeElement === field) field.setSelectionRange(place, place);
      }
      cells.forEach((cell, index) => {
        cell.classList.toggle("filled", index < digits.length);
        cell.classList.toggle("next", index === Math.min(digits.length, 5));
      });
      return digits;
    }

    function complain() {
      const alert = document.getElementById("malformed").content.cloneNode(true);
      document.getElementById("problem")?.remove();
      form.querySelector(".code").after(alert);
      field.setAttribute("aria-describedby", "problem hint");
      field.setAttribute("aria-invalid", "true");
      field.focus();
    }

    field.addEventListener("input", () => {
      const digits = show();
      if (digits.length === 6 && before < 6) form.requestSubmit();
      before = digits.length;
    });
    form.addEventListener("submit", (event) => {
      if (sent || digitsOf(field.value).length < 6) event.preventDefault();
      if (sent) return;
      if (event.defaultPrevented) {
        complain();
        return;
      }
      sent = true;
      field.readOnly = true;
      button.setAttribute("aria-disabled", "true");
      button.textContent = form.dataset.sending;
    });
    // Back from the next page, out of the browser's memory: how does it stand now?
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) location.replace(location.pathname + location.search);
    });
    show();
  }

  if (field) guide(field.form);

  // -- time -----------------------------------------------------------------------------

  const until = document.getElementById("until");
  if (until) {
    until.textContent = new Intl.DateTimeFormat(locale, {
      day: "numeric", month: "long", year: "numeric",
      hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    }).format(new Date(until.dateTime));
  }

  const left = document.getElementById("left");

  /** Count down between what is heard of the gateway's clock, which is moved by hand. */
  function countDown() {
    const announced = document.getElementById("announced");
    const timer = left.closest(".timer");
    const told = { seconds: Number(left.dataset.seconds), at: performance.now() };
    const heard = { ...told };
    let stands = false;
    let shown = Infinity;

    function secondsLeft() {
      const passed = stands ? 0 : (performance.now() - told.at) / 1000;
      return Math.max(0, Math.round(told.seconds - passed));
    }

    function tick() {
      const seconds = secondsLeft();
      const minutes = Math.floor(seconds / 60);
      left.textContent = minutes >= 60
        ? `${Math.floor(minutes / 60)} ${left.dataset.hours} ${minutes % 60} ${left.dataset.minutes}`
        : `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
      timer.classList.toggle("short", seconds < 60);
      if (seconds <= 300 && shown > 300 && shown < Infinity) announced.textContent = left.dataset.five;
      if (seconds <= 60 && shown > 60 && shown < Infinity) announced.textContent = left.dataset.one;
      if (seconds === 0 && shown > 0) setTimeout(look, 1000);
      shown = seconds;
      timer.hidden = seconds > 86400;
    }

    function hear(seconds) {
      const at = performance.now();
      if (at - heard.at > 2000) {
        stands = seconds === heard.seconds;
        Object.assign(heard, { seconds, at });
      }
      // A second or two may be lost on the way.
      if (stands || Math.abs(seconds - secondsLeft()) > 2) Object.assign(told, { seconds, at });
      tick();
    }

    tick();
    setInterval(tick, 1000);
    return hear;
  }

  const hear = left && countDown();

  // -- how it stands --------------------------------------------------------------------

  /**
   * Load the page anew once it would show something else, and not before.
   *
   * Its form knows its address: another code is asked for while the first one waits.
   */
  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch(field ? field.form.action : location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const state = page.querySelector("main")?.dataset.state;
      // Not `reload`: this may be what a form was answered with.
      if (state && state !== main.dataset.state) location.replace(location.pathname);
      else if (state && left) hear(Number(page.getElementById("left").dataset.seconds));
    } catch {
      // The sandbox is away; it may come back.
    }
  }

  const pauses = { open: 3000, waiting: 1000 };
  const pause = pauses[main.dataset.state];
  if (pause) {
    const again = () => look().then(() => setTimeout(again, pause));
    setTimeout(again, pause);
    document.addEventListener("visibilitychange", look);
  }

  const back = document.getElementById("back");
  if (back && back.dataset.seconds) {
    setTimeout(() => location.assign(back.href), 1000 * Number(back.dataset.seconds));
  }
})();
