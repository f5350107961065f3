/* A list of texts: greetings, phrases, examples. An entry that is still empty is kept here and saved by nobody. */
const studio = window.studio;
const { h, icon } = studio;
const list = element.querySelector(".el-list");
const add = element.querySelector(".el-add");
const label = element.querySelector(".el-label");
label.textContent = props.label_;
element.querySelector(".el").setAttribute("aria-label", props.label_);
add.append(icon("add"), props.add_);
let rows = [];

const filled = () => rows.filter((row) => row.trim());
const boxes = () => [...list.querySelectorAll(".el-text")];

/** What is written goes to the desk and, for Gradio, into the value. */
function tell() {
  props.value = filled();
  studio.edited({ [props.field_]: filled() });
  add.disabled = rows.length >= props.most_;
}

function grow(box) {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, 260)}px`;
}

function move(at, step) {
  const [row] = rows.splice(at, 1);
  rows.splice(at + step, 0, row);
  tell();
  draw();
  const buttons = list.children[at + step].querySelectorAll(".el-acts button");
  const wanted = buttons[step < 0 ? 0 : 1];
  (wanted.disabled ? buttons[step < 0 ? 1 : 0] : wanted).focus();
}

function remove(at) {
  const [gone] = rows.splice(at, 1);
  const id = studio.desk.id;
  tell();
  draw();
  (boxes()[Math.min(at, rows.length - 1)] ?? add).focus();
  if (!gone.trim()) return;
  const undo = () => studio.desk.id === id && (rows.splice(at, 0, gone), tell(), draw());
  studio.notice(`The ${props.entry_} was removed.`, { action: "Undo", onAction: undo, seconds: 10 });
}

function entry(row, at) {
  const many = `${props.entry_} ${at + 1}`;
  const write = (event) => {
    rows[at] = event.target.value;
    grow(event.target);
    tell();
  };
  const box = h("textarea", { class: "el-text", rows: props.lines_, "aria-label": `${props.entry_[0].toUpperCase()}${many.slice(1)}`, oninput: write });
  box.value = row;
  const act = (name, sign, can, run) => h("button", { type: "button", title: `${name} this ${props.entry_}`, disabled: !can, onclick: run }, icon(sign), h("span", { class: "ps-hidden" }, `${name} ${many}`));
  return h("li", { class: "el-entry" }, box,
    h("span", { class: "el-acts" },
      act("Move up", "up", at > 0, () => move(at, -1)),
      act("Move down", "down", at < rows.length - 1, () => move(at, 1)),
      act("Remove", "close", true, () => remove(at))));
}

function draw() {
  list.replaceChildren(...rows.map(entry));
  boxes().forEach(grow);
  add.disabled = rows.length >= props.most_;
}

/** A row arrived: draw it, unless it says what is written here already (an empty entry may wait among it). */
function take() {
  if (studio.same(props.value ?? [], filled())) return;
  rows = [...(props.value ?? [])];
  draw();
}

add.addEventListener("click", () => {
  rows.push("");
  draw();
  boxes().at(-1).focus();
});
list.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || props.lines_ > 1 || event.isComposing || event.ctrlKey || event.metaKey) return;
  if (!event.target.matches(".el-text")) return;
  event.preventDefault();
  if (event.target.value.trim() && !add.disabled) add.click();
});
let whose = null;
/** What the desk holds is shown, also while Gradio's line is down: a suggestion that was taken, say. */
function follow() {
  const fresh = studio.desk.typed[props.field_] ?? [];
  if (whose === studio.desk.id && studio.same(fresh, filled())) return;
  whose = studio.desk.id; // another character's empty entry is nobody's
  rows = [...fresh];
  draw();
}

studio.on("shown", follow);
studio.on("values", follow);
// boxes in a folded section have no height to measure
new ResizeObserver(() => boxes().forEach(grow)).observe(element);
watch("value", take);
take();
draw();
