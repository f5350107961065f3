/* A list of short words. 'input' fires on a person's edits only. */
const { h, icon } = window.studio;
const box = element.querySelector(".tc-tags");
const input = element.querySelector(".tc-input");
element.querySelector(".tc-label").textContent = props.label_;
input.setAttribute("aria-label", props.label_);

const tags = () => props.value || [];
const has = (tag) => tags().some((other) => other.toLowerCase() === tag.toLowerCase());

function chip(tag) {
  const remove = h("button", { type: "button", "aria-label": `Remove ${tag}`, onclick: () => set(tags().filter((other) => other !== tag)) }, icon("close"));
  return h("span", { class: "tc-chip", "data-tag": tag }, h("span", { class: "tc-word" }, tag), remove);
}

function render() {
  box.replaceChildren(...tags().map(chip));
  const full = tags().length >= props.most_;
  input.disabled = full;
  input.placeholder = full ? `${props.most_} tags is the most` : "Add a tag, press Enter";
}

function set(next) {
  props.value = next;
  render();
  trigger("input", {});
}

function add() {
  const fresh = input.value.split(",").map((part) => part.trim().slice(0, props.longest_)).filter((part) => part && !has(part));
  input.value = "";
  const seen = new Set(); // the first spelling of a word stays
  const next = [...tags(), ...fresh].filter((tag) => !seen.has(tag.toLowerCase()) && seen.add(tag.toLowerCase())).slice(0, props.most_);
  if (fresh.length) set(next);
}

input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) (event.preventDefault(), add());
  else if (event.key === ",") (event.preventDefault(), add());
  else if (event.key === "Backspace" && !input.value && tags().length) set(tags().slice(0, -1));
});
input.addEventListener("blur", add);
element.querySelector(".tc-box").addEventListener("pointerdown", (event) => event.target.closest("button, input") || setTimeout(() => input.focus()));
watch("value", render);
render();
