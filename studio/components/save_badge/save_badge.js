/* Says whether what is typed is safe, and saves it: 2 s after the last edit, at once on Save now.
   Fires 'save' with {id, version, changes}; Python answers through the value. */
const studio = window.studio;
const face = element.querySelector(".sb");
const button = element.querySelector(".sb-face");
const word = element.querySelector(".sb-word");
const WORDS = { idle: "", saved: "Saved", saving: "Saving\u2026", unsaved: "Unsaved", failed: "Could not save" };
const PATIENCE = 8000; // ms without an answer: the server is away; typed words are kept in this browser
let state = "idle"; // until a row has come nobody knows whether everything is saved
let timer = null;
let watchdog = null;
let sent = null; // the question that is on its way
const asked = new Map(); // number → question: an answer may come after we gave up waiting
let waiting = []; // those who wait for a flush
let pause = 4000;
let failure = null; // the last answer that was no

function show(next, sentence = "") {
  state = next;
  face.dataset.state = next;
  word.textContent = WORDS[next];
  face.title = sentence;
  button.disabled = next !== "failed";
  document.body.dataset.save = next;
}

/** A press on the red badge: show both versions again, lead to the refused field, or try once more. */
function again() {
  if (failure?.state === "conflict") studio.announce("conflict", { ...failure, mine: studio.changes() });
  else if (failure?.state === "refused" && failure.field) studio.lead(failure.field);
  else go();
}

function settle(good) {
  waiting.splice(0).forEach((resolve) => resolve(good));
}

function go() {
  clearTimeout(timer);
  timer = null;
  if (sent) return;
  const changes = studio.changes();
  if (!Object.keys(changes).length) {
    rest();
    return settle(true);
  }
  sent = { id: studio.desk.id, version: studio.desk.version, changes: structuredClone(changes), number: studio.uuid() };
  asked.set(sent.number, sent);
  studio.trying(changes);
  show("saving");
  watchdog = setTimeout(() => answered({ state: "lost", number: sent.number, sentence: "The studio does not answer. What you typed is kept in this browser; we try again." }), PATIENCE);
  trigger("save", sent);
}

function answered(answer) {
  const question = asked.get(answer.number);
  if (!question) return;
  if (answer.state !== "lost") asked.delete(answer.number);
  if (["failed", "refused", "withheld"].includes(answer.state) && question.id === studio.desk.id) studio.notSaved(question.changes);
  if (question !== sent) return late(answer, question);
  clearTimeout(watchdog);
  sent = null;
  if (answer.state === "saved") return good({ ...answer, changes: question.changes });
  if (answer.state === "conflict" && isOurs(answer, question)) return good({ ...answer, id: question.id, changes: question.changes });
  if (answer.state === "conflict" && !studio.clashes(answer.theirs, question.changes).length) return merge(answer, question);
  failure = answer;
  show("failed", answer.sentence);
  settle(false);
  if (answer.state === "conflict") return studio.announce("conflict", { ...answer, mine: question.changes });
  if (answer.state === "refused") return studio.announce("refused", answer);
  if (answer.state === "withheld") return studio.announce("withheld", answer); // trying again changes nothing
  timer = setTimeout(go, pause);
  pause = Math.min(pause * 2, 60000);
}

/** The answer to a question we had given up: what it saved is saved. */
function late(answer, question) {
  if (answer.state === "saved") good({ ...answer, changes: question.changes });
}

/** A conflict with our own earlier save, whose answer was lost on the way, is none: the row is as it would be now. */
function isOurs(answer, question) {
  const wanted = { ...studio.desk.saved, ...question.changes };
  return studio.desk.fields.every((field) => studio.same(wanted[field], answer.theirs[field]));
}

/** Somebody else changed other fields: theirs are taken, ours are sent again over their version. */
function merge(answer, question) {
  const theirs = studio.desk.fields.filter((field) => !(field in question.changes) && !studio.same(answer.theirs[field], studio.desk.saved[field]));
  studio.typeOver(answer.version, answer.theirs, question.changes, question.changes);
  if (theirs.length) studio.notice(`Somebody else changed ${theirs.map((field) => studio.labels[field] ?? field).join(", ")} meanwhile. Both are kept.`);
  go();
}

function good(answer) {
  pause = 4000;
  studio.savedAs(answer);
  studio.announce("accepted");
  if (!studio.isDirty()) {
    rest();
    return settle(true);
  }
  if (waiting.length) return go();
  show("unsaved");
  timer ??= setTimeout(go, props.delay_);
}

studio.badge = {
  isSaving: () => sent !== null,
  isRefused: () => state === "failed" && failure?.state === "refused",
  /** Save what is unsaved now; answers whether everything is safe. */
  flush: () => new Promise((resolve) => {
    waiting.push(resolve);
    go();
  }),
  retry: () => studio.isDirty() && state === "failed" && go(),
};
button.addEventListener("click", again);
function wait() {
  if (!sent) show("unsaved");
  clearTimeout(timer);
  timer = setTimeout(go, props.delay_);
}

/** Nothing is left to save; where no row has come, nothing is said. */
function rest() {
  clearTimeout(timer);
  timer = null;
  show(studio.desk.id === null ? "idle" : "saved");
}

function look() {
  if (!studio.isDirty() && !sent) rest();
}

studio.on("dirty", wait);
studio.on("shown", look);
studio.on("values", look);
studio.on("keep-mine", () => go());
watch("value", () => props.value?.number && answered(props.value));
window.addEventListener("online", () => studio.badge.retry());
studio.isDirty() ? wait() : look(); // the row may have come before this part of the page
