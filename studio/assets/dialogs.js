/* One frame for dialogs: title, body, foot; keeps Tab inside, closes on Escape, gives the focus back. Also fields
   with a label, a counter and a place for what is wrong. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon } = studio;
  let number = 0;

  /** Opens a dialog. `mayClose` is asked before a person closes it; `onClose` runs once it is gone. */
  function dialog({ title, body, foot = [], isWide = false, mayClose = () => true, onClose = null, testid = "dialog" }) {
    const opener = document.activeElement;
    const id = `dg-${++number}`;
    const heading = h("h2", { id }, title);
    const shut = h("button", { type: "button", class: "dg-x", "aria-label": "Close", onclick: () => leave() }, icon("close"));
    const content = h("div", { class: "dg-body" }, ...body);
    const card = h("section", { class: `dg-card${isWide ? " dg-wide" : ""}`, role: "dialog", "aria-modal": "true", "aria-labelledby": id, "data-testid": testid },
      h("header", { class: "dg-head" }, heading, shut), content, foot.length ? h("footer", { class: "dg-foot" }, ...foot) : null);
    const shade = h("div", { class: "dg" }, card);
    const close = () => {
      if (!shade.isConnected) return;
      shade.remove();
      if (opener?.isConnected) opener.focus({ preventScroll: true });
      onClose?.();
    };
    const leave = () => mayClose() && close();
    shade.addEventListener("pointerdown", (event) => event.target === shade && leave());
    card.addEventListener("keydown", (event) => {
      if (event.key === "Escape") (event.stopPropagation(), leave());
      else studio.trapTab(event, card);
    });
    (document.querySelector(".gradio-container") ?? document.body).append(shade);
    (content.querySelector("input:not([type=hidden]), textarea, select") ?? shut).focus();
    return { card, body: content, close, retitle: (words) => (heading.textContent = words) };
  }

  const length = (text) => [...text].length;

  /** A labelled text box: {node, value, wrong(sentence), onInput}. `most` shows a counter in characters. */
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
    return { node, box, wrong: say, get value() { return box.value; } };
  }

  Object.assign(studio, { dialog, field });
})();
