/* One frame for dialogs: title, body, foot; keeps Tab inside, closes on Escape, gives the focus back. Also fields
   with a label, a counter and a place for what is wrong. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon } = studio;
  let number = 0;

  /** Opens a dialog and returns {card, close, isOpen, show}. `show` draws it anew where it stands, with any of title,
      sentence, body and foot. `mayClose` is asked before a person closes it; `onClose` runs once it is gone. The focus
      goes to what carries `data-first`, to the first field, to the main button, or to the cross. */
  function dialog({ title, sentence = "", body = [], foot = [], isWide = false, mayClose = () => true, onClose = null, testid = "dialog" }) {
    const opener = document.activeElement;
    const id = `dg-${++number}`;
    const card = h("section", { class: `dg-card${isWide ? " dg-wide" : ""}`, role: "dialog", "aria-modal": "true", "aria-labelledby": id, "data-testid": testid });
    const shade = h("div", { class: "dg" }, card);
    const now = { title, sentence, body, foot };
    const close = () => {
      if (!shade.isConnected) return;
      shade.remove();
      document.removeEventListener("keydown", lost);
      if (opener?.isConnected) opener.focus({ preventScroll: true });
      onClose?.();
    };
    const leave = () => mayClose() && close();
    const begin = () => (FIRST.map((stop) => card.querySelector(stop)).find((stop) => stop && !stop.disabled)).focus();
    const show = (changed = {}) => {
      Object.assign(now, changed);
      const top = card.querySelector(".dg-body")?.scrollTop ?? 0;
      const wasInside = card.contains(document.activeElement);
      card.replaceChildren(...parts(id, now, leave));
      card.querySelector(".dg-body").scrollTop = top;
      if (wasInside && !card.contains(document.activeElement)) begin();
    };
    shade.addEventListener("pointerdown", (event) => event.target === shade && leave());
    // a button that was pressed and is switched off has lost the focus to nobody: Escape still means this dialog
    const lost = (event) => event.key === "Escape" && document.activeElement === document.body && [...document.querySelectorAll(".dg")].at(-1) === shade && leave();
    document.addEventListener("keydown", lost);
    card.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (event.stopPropagation(), leave());
      else studio.trapTab(event, card);
    });
    show();
    (document.querySelector(".gradio-container") ?? document.body).append(shade);
    begin();
    return { card, close, show, isOpen: () => shade.isConnected };
  }

  const FIRST = ["[data-first]", ".dg-body :is(input:not([type=hidden]), textarea, select)", ".dg-foot .ps-primary", ".dg-x"];

  function parts(id, { title, sentence, body, foot }, leave) {
    const words = h("div", {}, h("h2", { id }, title), sentence ? h("p", {}, sentence) : null);
    const shut = h("button", { type: "button", class: "dg-x", "aria-label": "Close", onclick: leave }, icon("close"));
    const actions = foot.filter(Boolean);
    const content = h("div", { class: "dg-body" }, ...body);
    if (!content.querySelector("button, a, input, textarea, select")) Object.entries({ tabindex: "0", role: "group", "aria-labelledby": id }).forEach(([name, value]) => content.setAttribute(name, value)); // scrolls by keyboard
    return [h("header", { class: "dg-head" }, words, shut), content, ...(actions.length ? [h("footer", { class: "dg-foot" }, ...actions)] : [])];
  }

  const length = (text) => [...text].length;

  /** A labelled text box: {node, value, put(text), wrong(sentence), onInput}. `most` shows a counter in characters. */
  function field(label, { value = "", most = 0, rows = 0, hint = "", placeholder = "", name = "", onInput = null } = {}) {
    const id = `dg-${++number}`;
    const box = rows ? h("textarea", { id, rows, placeholder }) : h("input", { id, type: "text", placeholder, autocomplete: "off" });
    box.value = value;
    const counter = h("small", { "aria-hidden": "true" });
    const wrong = h("p", { class: "dg-wrong", id: `${id}-wrong`, role: "alert", hidden: true });
    const node = h("div", { class: "dg-field", "data-field": name },
      h("label", { class: "dg-label", for: id }, h("span", {}, label), most ? counter : null), box, hint ? h("p", { class: "dg-hint", id: `${id}-hint` }, hint) : null, wrong);
    box.setAttribute("aria-describedby", [hint && `${id}-hint`, `${id}-wrong`].filter(Boolean).join(" "));
    const say = (sentence) => {
      wrong.textContent = sentence;
      wrong.hidden = !sentence;
      sentence ? box.setAttribute("aria-invalid", "true") : box.removeAttribute("aria-invalid");
    };
    const count = () => {
      const size = length(box.value);
      counter.textContent = `${size} / ${most}`;
      counter.dataset.over = String(size > most);
      if (most) say(size > most ? `At most ${most} characters; these are ${size}.` : "");
    };
    box.addEventListener("input", () => (count(), onInput?.(box.value)));
    count();
    return { node, box, wrong: say, put: (text) => ((box.value = text), count()), get value() { return box.value; } };
  }

  Object.assign(studio, { dialog, field });
})();
