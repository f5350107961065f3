/* Two people changed the same fields of a character: both texts, and for each field a person decides. */
const studio = window.studio;
const { h, icon } = studio;
const shade = element.querySelector(".cf");
const card = element.querySelector(".cf-card");
let last = null;
let kept = {}; // field → is mine kept

const words = (value) => studio.asText(value) || "(empty)";

function close() {
  shade.hidden = true;
  last?.focus?.();
}

function side(field, isMine, title, body) {
  const input = h("input", { type: "radio", name: `cf-${field}`, value: isMine ? "mine" : "theirs", onchange: () => ((kept[field] = isMine), name()) });
  input.checked = kept[field] === isMine;
  return h("label", { class: "cf-side" }, h("span", { class: "cf-pick" }, input, h("small", {}, title)), body);
}

function row(field, mine, theirs) {
  const label = props.labels_[field] ?? field;
  const isBoth = studio.asText(mine) && studio.asText(theirs);
  const [left, right] = isBoth ? studio.sideNodes(theirs, mine) : [theirs, mine].map((value) => h("p", { class: "df" }, words(value)));
  return h("fieldset", { class: "cf-row", "data-field": field }, h("legend", {}, label),
    side(field, false, "Theirs, saved", left),
    side(field, true, "Yours, not saved", right));
}

/** Go on with the chosen side of each field; what only one of the two changed stays in any case. */
function decide(answer, chosen) {
  const mine = Object.fromEntries(Object.entries(answer.mine).filter(([field]) => chosen[field] !== false));
  studio.typeOver(answer.version, answer.theirs, mine, answer.mine);
  close();
  studio.announce("keep-mine");
}

/** The main button says what it would do. */
function name() {
  const sides = new Set(Object.values(kept));
  card.querySelector(".ps-primary").textContent = sides.size > 1 ? "Keep what is chosen" : sides.has(true) ? "Keep mine" : "Keep theirs";
}

function show(answer) {
  const fields = studio.clashes(answer.theirs, answer.mine);
  if (!fields.length) return decide(answer, {});
  last = document.activeElement;
  kept = Object.fromEntries(fields.map((field) => [field, true]));
  const none = Object.fromEntries(fields.map((field) => [field, false]));
  const keep = h("button", { type: "button", class: "ps-button ps-primary", onclick: () => decide(answer, kept) }, "Keep mine");
  card.replaceChildren(
    h("header", {}, icon("alert"), h("h2", { id: "cf-title" }, "Which version stays?")),
    h("p", { class: "cf-say" }, `${answer.sentence} What only one of you changed is kept in any case.`),
    h("div", { class: "cf-rows" }, ...fields.map((field) => row(field, answer.mine[field], answer.theirs[field]))),
    h("footer", {}, h("button", { type: "button", class: "ps-button", onclick: () => decide(answer, none) }, "Load theirs"), keep),
  );
  shade.hidden = false;
  keep.focus();
}

card.addEventListener("keydown", (event) => (event.key === "Escape" ? close() : studio.trapTab(event, card)));
studio.on("conflict", show);
