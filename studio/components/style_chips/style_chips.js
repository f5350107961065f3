/* Ready-made looks: pressing one adds its tags, pressing it again takes them out. Fires 'wear' after a press. */
const studio = window.studio;
const chips = element.querySelector(".st-chips");
const list = (field) => studio.desk.typed[field] ?? [];
const holds = (field, words) => words.every((word) => list(field).some((tag) => tag.toLowerCase() === word.toLowerCase()));
const isWorn = (style) => Object.entries(style.tags).every(([field, words]) => holds(field, words));

const ready = new Set(props.styles_.flatMap((style) => Object.values(style.tags).flat()).map((word) => word.toLowerCase()));
studio.isOwn = (tag) => !ready.has(tag.toLowerCase());

function press(style) {
  const worn = isWorn(style);
  const next = {};
  for (const [field, words] of Object.entries(style.tags)) {
    const bare = list(field).filter((tag) => !words.some((word) => word.toLowerCase() === tag.toLowerCase()));
    const all = worn ? bare : [...bare, ...words];
    next[field] = [...all.filter(studio.isOwn), ...all.filter((tag) => !studio.isOwn(tag))].slice(0, props.most_); // the prompt takes the first ones
  }
  studio.put(next, () => trigger("wear", {}));
}

function chip(style) {
  const button = studio.h("button", { type: "button", class: "ps-chip", "aria-pressed": "false", title: style.hint || null, onclick: () => press(style) }, style.label);
  button.dataset.key = style.key;
  return button;
}

/** Under the chips: which tags each worn style put there, and the way to take them out. */
function showWorn() {
  const worn = studio.desk.id === null ? [] : props.styles_.filter(isWorn);
  const line = (style) => studio.h("li", {}, studio.h("b", {}, style.label), ` ${Object.values(style.tags).flat().join(" \u00b7 ")} `,
    studio.h("button", { type: "button", onclick: () => press(style) }, "Take out", studio.h("span", { class: "ps-hidden" }, ` ${style.label}`)));
  element.querySelector(".st-worn").replaceChildren(...worn.map(line));
}

function mark() {
  showWorn();
  for (const style of props.styles_) {
    const button = chips.querySelector(`[data-key="${CSS.escape(style.key)}"]`);
    button.setAttribute("aria-pressed", String(studio.desk.id !== null && isWorn(style)));
  }
}

chips.replaceChildren(...props.styles_.map(chip));
studio.on("values", mark);
mark();
