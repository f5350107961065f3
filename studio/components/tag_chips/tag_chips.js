/* A list of short words. A person's edits go to the desk at once: Gradio's own event would wait for its line. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".tc-tags");
const input = element.querySelector(".tc-input");
const hint = element.querySelector(".tc-hint");
const field = element.closest("[id^=f_]").id.slice(2);
element.querySelector(".tc-label").textContent = props.label_;
input.setAttribute("aria-label", props.label_);

const tags = () => props.value || [];
const has = (tag) => tags().some((other) => other.toLowerCase() === tag.toLowerCase());

function chip(tag, at) {
  const remove = h("button", { type: "button", "aria-label": `Remove ${tag}`, onclick: () => set(tags().filter((other) => other !== tag)) }, icon("close"));
  const isUsed = at < props.used_;
  return h("span", { class: `tc-chip${isUsed ? "" : " tc-unused"}`, "data-tag": tag, title: isUsed ? null : `Not in the prompt: it takes the first ${props.used_}.` }, h("span", { class: "tc-word" }, tag), remove);
}

function render() {
  box.replaceChildren(...tags().map(chip));
  const full = tags().length >= props.most_;
  input.disabled = full;
  input.placeholder = full ? `${props.most_} tags is the most` : tags().length ? "Add" : "Add a tag, press Enter";
}

function set(next) {
  props.value = next;
  render();
  studio.edited({ [field]: next });
}

/** A tag that is too long stays in the field, to be shortened there: cutting it would change what it says. */
function refuse(long) {
  input.value = long.join(", ");
  input.setAttribute("aria-invalid", String(long.length > 0));
  hint.hidden = !long.length;
  hint.textContent = long.length ? `A tag takes at most ${props.longest_} characters; this has ${[...long[0]].length}. Shorten it.` : "";
}

/** A person's own words go before those of the ready-made styles: the prompt takes the first ones. */
function together(fresh) {
  const at = tags().findLastIndex((tag) => studio.isOwn(tag)) + 1;
  return [...tags().slice(0, at), ...fresh, ...tags().slice(at)];
}

function add() {
  const typed = input.value.split(",").map((part) => part.trim()).filter(Boolean);
  const fits = (tag) => [...tag].length <= props.longest_;
  const fresh = typed.filter((tag) => fits(tag) && !has(tag));
  refuse(typed.filter((tag) => !fits(tag)));
  const seen = new Set(); // the first spelling of a word stays
  const next = together(fresh).filter((tag) => !seen.has(tag.toLowerCase()) && seen.add(tag.toLowerCase())).slice(0, props.most_);
  if (fresh.length) set(next);
}

// a word nobody finished with Enter is typed all the same: it is taken where it would be lost
window.addEventListener("pagehide", add);
input.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if ((event.ctrlKey || event.metaKey) && ["s", "enter"].includes(event.key.toLowerCase())) add();
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) (event.preventDefault(), add());
  else if (event.key === ",") (event.preventDefault(), add());
  else if (event.key === "Backspace" && !input.value && tags().length) set(tags().slice(0, -1));
});
input.addEventListener("input", () => (hint.hidden = true, input.setAttribute("aria-invalid", "false")));
input.addEventListener("blur", add);
element.querySelector(".tc-box").addEventListener("pointerdown", (event) => event.target.closest("button, input") || setTimeout(() => input.focus()));
/** What the desk holds is shown, also while Gradio's line is down: a ready-made look, a suggestion that was taken. */
function follow() {
  const held = studio.desk.typed[field] ?? [];
  if (studio.desk.id === null || studio.same(held, tags())) return;
  props.value = held;
  render();
}

watch("value", render);
studio.on("values", follow);
render();
