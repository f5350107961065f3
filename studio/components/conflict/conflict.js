/* Two people changed the same character: both texts, side by side, and a person decides. */
const studio = window.studio;
const { h, icon } = studio;
const shade = element.querySelector(".cf");
const card = element.querySelector(".cf-card");
let last = null;

const words = (value) => (Array.isArray(value) ? value.join(", ") : value || "") || "(empty)";

function close() {
  shade.hidden = true;
  last?.focus?.();
}

function row([field, mine], theirs) {
  const side = (title, value) => h("div", { class: "cf-side" }, h("small", {}, title), h("p", {}, words(value)));
  return h("div", { class: "cf-row" }, h("h3", {}, props.labels_[field] ?? field), side("Theirs, saved", theirs[field]), side("Yours, not saved", mine));
}

function keepMine(answer) {
  studio.typeOver(answer.version, answer.theirs, answer.mine);
  close();
  studio.announce("keep-mine");
}

function show(answer) {
  last = document.activeElement;
  const keep = h("button", { type: "button", class: "ps-button ps-primary", onclick: () => keepMine(answer) }, "Keep mine");
  card.replaceChildren(
    h("header", {}, icon("alert"), h("h2", { id: "cf-title" }, "Which version stays?")),
    h("p", { class: "cf-say" }, answer.sentence),
    h("div", { class: "cf-rows" }, ...Object.entries(answer.mine).map((pair) => row(pair, answer.theirs))),
    h("footer", {},
      h("button", { type: "button", class: "ps-button", onclick: () => (close(), studio.loadTheirs()) }, "Load theirs"),
      keep),
  );
  shade.hidden = false;
  keep.focus();
}

card.addEventListener("keydown", (event) => (event.key === "Escape" ? close() : studio.trapTab(event, card)));
studio.on("conflict", show);
