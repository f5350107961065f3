/* Under a field: what is wrong with it, and how long it is. Lengths count characters, not UTF-16 halves. */
const studio = window.studio;
const text = element.querySelector(".fn-text");
const count = element.querySelector(".fn-count");
const least = props.least_;
const most = props.most_;
let refused = "";

const lengthOf = (value) => (typeof value === "string" ? [...value].length : 0); // lists have no length to judge here
/** Spaces around a text count only where it is too long with them: so the refusal counts too. */
const counted = (value) => (most && lengthOf(value) > most ? lengthOf(value) : lengthOf(value?.trim?.()));
const control = () => document.querySelector(`#f_${props.field_} :is(input, textarea)`);

function judge(length) {
  if (refused) return refused;
  if (most && length > most) return `${length - most} too many`;
  if (least && length && length < least) return `${least - length} more to go`;
  return props.hint_;
}

function show(value) {
  const length = counted(value);
  const wrong = Boolean(refused) || Boolean(most && length > most);
  text.textContent = judge(length);
  const counts = most && (!props.late_ || length > most * 0.8);
  count.textContent = counts ? `${length.toLocaleString("en")} / ${most.toLocaleString("en")}` : "";
  element.querySelector(".fn").dataset.wrong = wrong;
  control()?.setAttribute("aria-invalid", wrong);
  props.closed_.forEach(close);
}

/** A choice this studio does not offer can be left, not taken. */
function close(choice) {
  const input = document.querySelector(`#f_${props.field_} input[value="${CSS.escape(choice)}"]`);
  if (!input) return;
  const { saved, typed } = studio.desk;
  input.disabled = saved[props.field_] !== choice && typed[props.field_] !== choice;
  input.closest("label").title = input.disabled ? props.hint_ : "";
}

/** A button at the field's own label: after the text in the order of focus. */
function offer() {
  const field = document.querySelector(`#f_${props.field_}`);
  if (!props.proposed_ || !field || field.querySelector(":scope > .fn-suggest")) return;
  const label = studio.labels[props.field_] ?? props.field_;
  const ask = () => studio.announce("suggest", { wanted: props.field_ });
  field.append(studio.h("button", { type: "button", class: "fn-suggest", title: "Suggest", onclick: ask }, studio.icon("spark"), studio.h("span", { class: "ps-hidden" }, `Suggest: ${label}`)));
}

const current = () => (props.own_ ? control()?.value : studio.desk.typed[props.field_]);
studio.on("values", () => props.own_ || show(current()));
studio.on("dirty", () => props.own_ || (refused = ""));
studio.on("accepted", () => ((refused = ""), show(current())));
studio.on("refused", ({ field, sentence }) => {
  if (field !== props.field_) return;
  refused = sentence;
  show(current());
});
studio.on("shown", offer);
offer();
if (props.own_) document.addEventListener("input", (event) => event.target.closest(`#f_${props.field_}`) && show(event.target.value));
show(current());
