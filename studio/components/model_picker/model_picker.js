/* Which model draws: 'automatic', or one by name. Every picker of the page shows the same choice. */
const studio = window.studio;
const { h, icon } = studio;
const button = element.querySelector(".mp-open");
const panel = element.querySelector(".mp-panel");
const label = element.querySelector(".mp-label");
const AUTOMATIC = { id: "", name: "Automatic", price: "", provider: "the best model for this portrait", available: true, i2i: false, seed: false };
label.textContent = props.label_;

const choices = () => [AUTOMATIC, ...(props.value?.choices ?? [])];
const chosen = () => choices().find((one) => one.id === (props.value?.chosen ?? "")) ?? AUTOMATIC;

function badge(word, title) {
  return h("span", { class: "mp-badge", title }, word);
}

function badges(choice) {
  return h("span", { class: "mp-badges" },
    choice.i2i && badge("I2I", "Can match a reference image"),
    choice.seed && badge("Seed", "Can keep a seed"),
    choice.price && h("span", { class: "mp-price" }, choice.price));
}

function option(choice) {
  const on = choice.id === chosen().id;
  const words = h("span", { class: "mp-words" }, h("b", {}, choice.name), h("small", {}, choice.available ? choice.provider : `${choice.provider} \u00b7 ${choice.short}`));
  return h("button", { type: "button", class: "mp-option", role: "option", "aria-selected": String(on), title: choice.why_not || null, disabled: !choice.available, onclick: () => pick(choice.id) }, on ? icon("check") : h("i", { class: "mp-gap" }), words, badges(choice));
}

function render() {
  button.setAttribute("aria-label", `Model: ${chosen().name}`);
  button.replaceChildren(icon("spark"), h("span", { class: "mp-name" }, chosen().name), props.wide_ ? badges(chosen()) : "", icon("down"));
  const match = Boolean(props.value?.match);
  const usable = choices().filter((one) => !match || one.id === "" || one.available);
  const left = choices().length - usable.length;
  panel.replaceChildren(...[match && h("p", { class: "mp-match" }, icon("likeness"), h("span", {}, h("b", {}, "Image match is on. "), `${props.value.words}.`)), ...usable.map(option),
    match && left > 0 && h("p", { class: "mp-left" }, left === 1 ? "1 other model cannot match a picture now." : `${left} other models cannot match a picture now.`)].filter(Boolean));
}

function set(id) {
  if ((props.value?.chosen ?? "") === id) return;
  props.value = { ...(props.value ?? { choices: [] }), chosen: id };
  render();
}

function pick(id) {
  menu.close(true);
  localStorage.setItem("studio:model", id);
  studio.announce("model", { id });
}

const remembered = () => {
  const id = localStorage.getItem("studio:model") ?? "";
  return choices().some((one) => one.id === id && one.available) ? id : "";
};
const menu = studio.popover(button, panel, { onOpen: () => panel.querySelector("[aria-selected=true]")?.focus() });
studio.models = () => props.value?.choices ?? [];
studio.walkWithArrows(panel, ".mp-option:not([disabled])");
studio.on("model", ({ id }) => (set(id), studio.announce("ask")));
watch("value", () => (set(remembered()), render(), studio.announce("models")));
render();
