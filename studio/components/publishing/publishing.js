/* Before a character becomes public: what was looked at, in words, and where each thing is mended.
   Fires 'look' {id} and 'turn' {id, public}. */
const studio = window.studio;
const { h, icon, desk } = studio;
let dialog = null;
let looked = null;
let busy = false;

function mend(check) {
  dialog.close();
  if (check.field !== "portrait") return studio.lead(check.field);
  studio.setView("portraits");
  document.querySelector("#gen")?.focus();
}

function line(check) {
  const state = check.passed ? "passed" : check.needed ? "needed" : "advice";
  const words = { passed: "fine", needed: "needed", advice: "advice" }[state];
  const sentence = check.passed ? null : h("p", {}, check.sentence);
  const go = check.passed ? null : h("button", { type: "button", class: "ps-button ps-small", "aria-label": `Go there: ${check.label}`, onclick: () => mend(check) }, "Go there");
  return h("li", { class: "pu-check", "data-state": state }, h("span", { class: "pu-sign" }, icon(check.passed ? "check" : state === "needed" ? "alert" : "help"), h("span", { class: "ps-hidden" }, words)), h("div", {}, h("b", {}, check.label), sentence), go);
}

/** One line a label: the first that does not pass speaks for it. */
function lines() {
  const byLabel = new Map();
  for (const check of looked.checks) if (!byLabel.has(check.label) || byLabel.get(check.label).passed) byLabel.set(check.label, check);
  return [...byLabel.values()].map(line);
}

function turn(open) {
  busy = true;
  draw();
  trigger("turn", { id: desk.id, public: open });
}

function draw() {
  const ready = looked?.checks.every((check) => check.passed || !check.needed);
  const name = (desk.typed.name ?? "").trim() || "Untitled";
  const title = looked?.public ? `${name} is public` : `Publish ${name}`;
  const say = !looked ? "Looking at every field\u2026" : looked.public ? "Everybody on the platform sees this character." : ready ? "Everything that is needed is there." : "Something is still missing.";
  const act = looked?.public
    ? h("button", { type: "button", class: "ps-button", disabled: busy, onclick: () => turn(false) }, icon("lock"), "Make it a draft again")
    : h("button", { type: "button", class: "ps-button ps-primary", "data-first": ready, disabled: !ready || busy, onclick: () => turn(true) }, icon("globe"), "Publish");
  const body = [looked ? h("ul", { class: "pu-list" }, ...lines()) : h("p", { class: "dg-none" }, "One moment\u2026")];
  if (looked?.sentence) body.push(h("p", { class: "pu-no", role: "alert" }, looked.sentence));
  const foot = [h("button", { type: "button", class: "ps-button", onclick: () => dialog.close() }, looked?.public ? "Close" : "Not yet"), act];
  if (dialog?.isOpen()) return dialog.show({ title, sentence: say, body, foot });
  dialog = studio.dialog({ title, sentence: say, body, foot, testid: "publishing" });
}

studio.on("open-publishing", async () => {
  looked = null;
  busy = false;
  draw();
  const safe = await studio.flush();
  if (!safe) return (dialog.close(), studio.notice("Not everything is saved yet, so nothing is published. The badge says why."));
  trigger("look", { id: desk.id });
});
watch("value", () => {
  if (!dialog?.isOpen() || props.value?.id !== desk.id) return;
  looked = props.value;
  busy = false;
  if (!looked.done) return draw();
  dialog.close();
  if (!studio.isDirty()) desk.version = Math.max(desk.version, looked.version); // ours: not somebody else's edit
  Object.assign(desk.facts, { public: looked.public });
  studio.announce("facts", desk.facts);
  studio.notice(looked.public ? "It is public now." : "It is a draft again. Nobody outside the studio sees it.");
});
