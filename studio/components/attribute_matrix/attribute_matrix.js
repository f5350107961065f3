/* The matrix of attribute images: what is there, what product says of it, and making the rest. Nothing is paid before
   the window with the price has been confirmed. */
const studio = window.studio;
const { h, icon } = studio;
const { ask, askOrSay, soon, button, when, lasting, dollars, picture } = studio.pages;
const top = element.querySelector(".am-top");
const runBox = element.querySelector(".am-run");
const body = element.querySelector(".am-body");
const many = element.querySelector(".am-many");
const EVERY = 1000; // ms between two looks at a run that goes on
const FILTERS = [["all", "All"], ["missing", "Missing"], ["pending", "To review"], ["approved", "Approved"], ["rejected", "Rejected"]];
const REVIEWS = { pending: "To review", approved: "Approved", rejected: "Rejected" };

let matrix = null;
let problem = "";
let filter = "all";
let run = sessionStorage.getItem("studio:attribute-run"); // so that a reload still shows how it ended
let progress = null;
let open = null; // the key of the cell whose window is open
let shut = null;
const chosen = new Set();
const faces = new Map(); // key → {face, node}: a cell that did not change keeps its node, picture and focus

const keyOf = (cell) => cell.join("\u001f");
const byKey = (key) => matrix.cells.find((one) => keyOf(one.cell) === key);
const isBusy = (one) => one.state === "queued" || one.state === "running";
const fits = (one) => filter === "all" || (filter === "missing" ? !one.image : one.review === filter);
const nameOf = (one) => (one.cell[0] === "style" ? `${one.label} style` : `${one.label}, ${styleLabel(one.cell[2])}`);
const styleLabel = (key) => matrix.styles.find((style) => style.key === key)?.label ?? key;

/* ---- reading ---- */

async function read() {
  try {
    take(await ask(server, "read"));
    problem = "";
  } catch (refusal) {
    problem = refusal.message;
  }
  body.setAttribute("aria-busy", "false");
  render();
  studio.ready();
}

function take(found) {
  matrix = found;
  if (found.run) follow(found.run);
}

const readSoon = soon(read, 300);

function follow(id) {
  if (run !== id) progress = null;
  run = id;
  sessionStorage.setItem("studio:attribute-run", id);
  look();
}

const look = soon(async () => {
  if (!run) return;
  const seen = await ask(server, "progress", { run }).catch((refusal) => (refusal.code === "NOT_FOUND" || refusal.code === "NOT_ALLOWED" ? forget() : null));
  if (!seen) return run && setTimeout(look, 5 * EVERY); // no answer is no end
  const ended = seen.is_over && progress && !progress.is_over;
  progress = seen;
  renderRun();
  if (ended) readSoon();
  if (!seen.is_over) setTimeout(look, EVERY);
}, 60);

function forget() {
  run = null;
  progress = null;
  sessionStorage.removeItem("studio:attribute-run");
  renderRun();
}

/* ---- how a run goes ---- */

function runWords() {
  const { done, total, failed, cancelled, unknown, is_over: over } = progress;
  if (!over) return progress.is_cancelled ? "Cancelling\u2026" : `Making attribute images: ${done} of ${total}`;
  const bad = [failed && `${failed} failed`, cancelled && `${cancelled} cancelled`, unknown && `${unknown} with an unknown outcome`].filter(Boolean);
  return `${done} of ${total} made${bad.length ? `, ${bad.join(", ")}` : ""}`;
}

function runFacts() {
  const spent = progress.unknown_costs ? `${dollars(progress.spent)} and ${progress.unknown_costs} of unknown cost` : dollars(progress.spent);
  const left = progress.is_over ? "" : progress.seconds === null ? "time left not measured yet" : `about ${lasting(progress.seconds)} left`;
  const now = progress.is_over ? "" : `${progress.running} being made, ${progress.queued} waiting`;
  return [now, left, Number(progress.spent) || progress.unknown_costs ? `${spent} so far` : "free so far"].filter(Boolean).join(" \u00b7 ");
}

async function stop(press) {
  press.disabled = true;
  const said = await askOrSay(server, "stop", { run });
  if (said) studio.notice(said.sent ? `${said.cancelled} cancelled; ${said.sent} were sent already and may still come.` : `${said.cancelled} cancelled, at no cost.`);
  look();
  readSoon();
}

function renderRun() {
  runBox.hidden = !progress;
  if (!progress) return;
  const part = progress.total ? (progress.done + progress.failed + progress.cancelled + progress.unknown) / progress.total : 1;
  const fill = h("i");
  fill.style.width = `${Math.round(part * 100)}%`;
  const held = runBox.contains(document.activeElement);
  const act = progress.is_over ? button("Dismiss", forget, { kind: "ps-small" }) : button("Cancel", (event) => stop(event.currentTarget), { kind: "ps-small ps-danger", disabled: progress.is_cancelled });
  const failures = progress.failures.length ? h("ul", { class: "am-failures" }, ...progress.failures.map((one) => h("li", {}, h("b", {}, one.cell), ` ${one.why}`))) : null;
  runBox.dataset.over = String(progress.is_over);
  runBox.replaceChildren(
    h("div", { class: "am-run-words" }, h("b", { role: "status" }, runWords()), h("small", {}, runFacts())),
    h("div", { class: "am-bar", role: "progressbar", "aria-label": "Attribute images made", "aria-valuemin": 0, "aria-valuemax": progress.total, "aria-valuenow": progress.done }, fill), act, ...(failures ? [failures] : []));
  if (held) act.focus();
}

/* ---- what is paid for ---- */

function offer(cells, again) {
  let plan = null;
  let number = 0;
  const id = studio.uuid(); // one window, one run: a double click buys nothing twice
  const model = h("select", { class: "gx-select" }, h("option", { value: "" }, "Automatic"), ...matrix.models.map((one) => h("option", { value: one.id }, one.name)));
  const limit = h("input", { class: "gx-input", type: "text", inputmode: "decimal", placeholder: "No limit", autocomplete: "off" });
  const said = h("div", { class: "am-offer", role: "status", "aria-live": "polite" });
  const go = button("Generate", () => make(), { kind: "ps-primary", disabled: true });
  const order = () => ({ cells, again, model: model.value, limit: limit.value.trim() });

  function show() {
    const head = plan.count === 0 ? "Nothing to make" : `${plan.count} ${plan.count === 1 ? "picture" : "pictures"} \u00b7 ${plan.total === null ? "price unknown" : dollars(plan.total)}`;
    const each = plan.count ? `${plan.model}, ${plan.price === null ? "price unknown" : `${dollars(plan.price)} each`}${plan.seconds === null ? "" : `, about ${lasting(plan.seconds)}`}` : "Every cell has a picture.";
    const beyond = plan.beyond ? h("p", { class: "am-beyond" }, `${plan.beyond} more are wanted, and the limit has no room for them.`) : null;
    said.replaceChildren(h("b", {}, head), h("p", {}, each), h("p", {}, plan.reason), ...(beyond ? [beyond] : []));
    go.textContent = plan.count ? `Generate ${plan.count}` : "Generate";
    go.disabled = !plan.count;
  }

  async function price() {
    const mine = ++number;
    go.disabled = true;
    try {
      const found = await ask(server, "plan", order());
      if (mine !== number) return;
      plan = found;
      show();
    } catch (refusal) {
      if (mine === number) said.replaceChildren(h("p", { class: "am-wrong" }, refusal.message));
    }
  }

  async function make() {
    go.disabled = true;
    const made = await askOrSay(server, "make", { ...order(), run: id });
    if (!made) return (go.disabled = false);
    box.close();
    chosen.clear();
    follow(made.run);
    studio.announce("asked");
    made.warnings.forEach((words) => studio.notice(words, { seconds: 9 }));
    if (made.refused.length) studio.notice(`${made.refused.length} not asked for. ${made.refused[0].why}`, { seconds: 9 });
    readSoon();
  }

  model.addEventListener("change", price);
  let timer = null;
  limit.addEventListener("input", () => (clearTimeout(timer), (timer = setTimeout(price, 250))));
  const box = studio.dialog({
    title: again ? "Make these pictures anew" : cells ? "Generate these pictures" : "Generate what is missing",
    body: [
      again ? h("p", {}, "Each new picture takes the place of the old one once it is there and waits for its review. The old one is kept.") : null,
      h("div", { class: "am-pair" }, h("label", { class: "gx-field" }, h("span", {}, "Model"), model), h("label", { class: "gx-field" }, h("span", {}, "Spending limit in $"), limit)), said,
    ].filter(Boolean),
    foot: [button("Cancel", () => box.close()), go],
  });
  said.replaceChildren(h("p", {}, "Reading the price\u2026"));
  price();
}

/* ---- one cell, large ---- */

function showCell(key) {
  const one = byKey(key);
  if (!one?.image) return matrix.may_make && !isBusy(one) ? offer([one.cell], false) : null;
  shut?.close();
  open = key;
  const note = h("textarea", { class: "gx-input am-note", rows: 3, maxlength: 500, placeholder: "What is wrong, or what to keep in mind" });
  note.value = one.note;
  const wrong = h("p", { class: "am-wrong", role: "alert", hidden: true });
  const judge = async (verdict) => {
    try {
      take(await ask(server, "review", { cell: one.cell, image: one.image, verdict, note: note.value }));
      window_.close();
      render();
      const following = verdict === "pending" ? null : shownCells().find((other) => other.review === "pending" && !isBusy(other));
      if (following && filter === "pending") showCell(keyOf(following.cell));
      else studio.notice(`${nameOf(one)}: ${REVIEWS[verdict].toLowerCase()}.`, { action: verdict === "pending" ? null : "Undo", onAction: () => takeBack(one), seconds: 8 });
    } catch (refusal) {
      wrong.hidden = false;
      wrong.textContent = refusal.message;
      if (refusal.code === "NEWER_PICTURE") readSoon();
      if (refusal.field === "note") note.focus();
    }
  };
  const acts = matrix.may_make
    ? [button("Make anew", () => (window_.close(), offer([one.cell], true)), { symbol: "redo" }), button("Reject", () => judge("rejected"), { symbol: "close", kind: "ps-danger" }), button("Approve", () => judge("approved"), { symbol: "check", kind: "ps-primary", "data-first": true })]
    : [button("Close", () => window_.close())];
  const facts = [["Review", REVIEWS[one.review]], ["Made", when(one.made_at)], ["Cost", one.cost === null ? "Unknown" : dollars(one.cost)], ["Counts as", one.counts_as]].filter(([, value]) => value);
  const window_ = studio.dialog({
    title: nameOf(one),
    isWide: true,
    body: [h("div", { class: "am-large" }, h("div", { class: "am-shown" }, picture(one.url, nameOf(one), { lazy: false })),
      h("div", { class: "am-said" }, h("dl", { class: "lv-facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
        one.why ? h("p", {}, one.why) : null,
        matrix.may_make ? h("label", { class: "gx-field" }, h("span", {}, "Note"), note, h("small", {}, "Needed to reject.")) : one.note ? h("p", {}, one.note) : null, wrong))],
    foot: acts,
    onClose: () => ((open = null), focusCell(key)),
  });
  shut = window_;
}

async function takeBack(one) {
  const found = await askOrSay(server, "review", { cell: one.cell, image: one.image, verdict: one.review, note: one.note });
  if (found) (take(found), render());
}

function focusCell(key) {
  faces.get(key)?.node.querySelector(".am-open")?.focus();
}

/* ---- the matrix ---- */

const shownCells = () => matrix.cells.filter(fits);

function badge(one) {
  if (one.state === "running") return h("span", { class: "am-badge", "data-kind": "busy" }, one.cancelling ? "Cancelling" : "Being made");
  if (one.state === "queued") return h("span", { class: "am-badge", "data-kind": "busy" }, "Waiting");
  if (one.state === "failed") return h("span", { class: "am-badge", "data-kind": "rejected", title: one.why }, "Failed");
  if (!one.image) return null;
  return h("span", { class: "am-badge", "data-kind": one.review }, REVIEWS[one.review]);
}

function bar(one) {
  if (one.state !== "running") return null;
  const known = one.progress !== null && one.progress !== undefined;
  const fill = h("i");
  if (known) fill.style.width = `${Math.round(one.progress * 100)}%`;
  return h("div", { class: "qp-bar am-cell-bar", "data-known": String(known) }, fill);
}

function face(one) {
  const key = keyOf(one.cell);
  const may = matrix.may_make;
  const label = [nameOf(one), one.image ? REVIEWS[one.review] : one.state].join(", ");
  const inside = one.image ? picture(one.url, "") : h("span", { class: "am-hole" }, icon(one.state === "failed" ? "alert" : may ? "add" : "picture"), h("small", {}, one.state === "failed" ? "Try again" : may ? "Generate" : "Missing"));
  const press = h("button", { type: "button", class: "am-open", title: one.why || null, disabled: !one.image && (isBusy(one) || !may), onclick: (event) => (event.shiftKey && may ? choose(key) : showCell(key)) }, h("span", { class: "ps-hidden" }, `${label} `), isBusy(one) && !one.image ? h("span", { class: "am-hole" }) : inside);
  const pick = may ? h("button", { type: "button", class: "lib-pick am-pick", role: "checkbox", "aria-checked": String(chosen.has(key)), "aria-label": `Select ${nameOf(one)}`, onclick: () => choose(key) }, icon("check")) : null;
  const halt = isBusy(one) && may && !one.cancelling ? h("button", { type: "button", class: "am-stop", "aria-label": `Cancel ${nameOf(one)}`, title: "Cancel", onclick: () => stopCell(one) }, icon("close")) : null;
  return h("div", { class: "am-cell", "data-testid": "attribute-cell", "data-state": one.state, "data-review": one.review ?? "", "data-cell": one.cell.join("/") }, press, pick, badge(one), bar(one), halt);
}

async function stopCell(one) {
  const found = await askOrSay(server, "stop_cell", { cell: one.cell });
  if (found) (take(found), render());
}

function draw(one) {
  const key = keyOf(one.cell);
  const now = JSON.stringify(one) + matrix.may_make;
  const standing = faces.get(key);
  if (standing?.face === now) return standing.node;
  const node = face(one);
  const held = standing?.node.contains(document.activeElement);
  faces.set(key, { face: now, node });
  if (held) requestAnimationFrame(() => node.querySelector(".am-open").focus());
  return node;
}

function group(one) {
  const cells = matrix.cells.filter((cell) => cell.cell[0] === one.key);
  const there = cells.filter((cell) => cell.image).length;
  const approved = cells.filter((cell) => cell.review === "approved").length;
  const head = h("header", { class: "am-head" }, h("h2", {}, one.label), h("span", {}, `${there} of ${cells.length} made, ${approved} approved`));
  const values = [...new Set(cells.map((cell) => cell.cell[1]))];
  const lines = one.key === "style" ? [cells] : matrix.styles.map((style) => values.map((value) => cells.find((cell) => cell.cell[1] === value && cell.cell[2] === style.key)));
  const nodes = lines.map((line, at) => lineOf(one, line.filter(Boolean), one.key === "style" ? "" : matrix.styles[at].label)).filter(Boolean);
  return nodes.length ? h("section", { class: "am-group", "aria-label": one.label }, head, ...nodes) : null;
}

function lineOf(one, line, label) {
  const shown = line.filter(fits);
  if (!shown.length) return null;
  return h("div", { class: "am-line" }, label ? h("h3", {}, label) : null, h("div", { class: "am-row" }, ...shown.map((cell) => h("figure", { class: "am-figure" }, draw(cell), h("figcaption", {}, cell.label)))));
}

function choose(key) {
  chosen.has(key) ? chosen.delete(key) : chosen.add(key);
  mark();
}

function mark() {
  for (const [key, { node }] of faces) {
    node.classList.toggle("am-chosen", chosen.has(key));
    node.querySelector(".am-pick")?.setAttribute("aria-checked", String(chosen.has(key)));
  }
  body.classList.toggle("lib-choosing", chosen.size > 0);
  many.hidden = !chosen.size;
  if (!chosen.size) return;
  const cells = [...chosen].map((key) => byKey(key).cell);
  const empty = [...chosen].map(byKey).filter((one) => !one.image).map((one) => one.cell);
  many.replaceChildren(h("b", { role: "status" }, `${chosen.size} selected`),
    empty.length ? button(`Generate ${empty.length} missing`, () => offer(empty, false), { symbol: "spark", kind: "ps-small" }) : "",
    button("Make anew", () => offer(cells, true), { symbol: "redo", kind: "ps-small" }),
    h("button", { type: "button", class: "dg-x", "aria-label": "Clear the selection", onclick: () => (chosen.clear(), mark()) }, icon("close")));
}

function counter(key, label) {
  const many_ = matrix.cells.filter((one) => (key === "all" ? true : key === "missing" ? !one.image : one.review === key)).length;
  return h("button", { type: "button", class: "ps-chip", "aria-pressed": String(filter === key), onclick: () => ((filter = key), render(), top.querySelector("[aria-pressed=true]").focus()) }, `${label} `, h("span", { class: "lib-times" }, many_));
}

function renderTop() {
  const missing = matrix.cells.filter((one) => !one.image && !isBusy(one)).length;
  const there = matrix.cells.filter((one) => one.image).length;
  studio.announce("heading", { words: `${there} of ${matrix.cells.length} made` });
  const idle = there === matrix.cells.length ? "All are made" : "All on their way";
  const go = matrix.may_make ? button(missing ? `Generate ${missing} missing` : idle, () => offer(null, false), { symbol: missing ? "spark" : "check", kind: missing ? "ps-primary am-go" : "am-go", disabled: !missing }) : null;
  top.replaceChildren(h("div", { class: "am-filters", role: "group", "aria-label": "Show" }, ...FILTERS.map(([key, label]) => counter(key, label))), ...(go ? [go] : []));
}

function emptyBody() {
  if (problem) return h("div", { class: "ps-empty" }, icon("matrix"), h("b", {}, "The matrix is not shown"), h("p", {}, problem), button("Try again", read));
  const words = { missing: "Every cell has a picture.", pending: "Nothing waits for a review.", approved: "No picture is approved yet. Open one to judge it.", rejected: "No picture is rejected." };
  return h("div", { class: "ps-empty" }, icon("check"), h("b", {}, words[filter] ?? "Nothing here"), button("Show all", () => ((filter = "all"), render())));
}

function render() {
  if (!matrix || problem) {
    top.replaceChildren();
    body.replaceChildren(emptyBody());
    return;
  }
  renderTop();
  const nodes = matrix.groups.map(group).filter(Boolean);
  body.replaceChildren(...(nodes.length ? nodes : [emptyBody()]));
  mark();
}

document.addEventListener("keydown", (event) => event.key === "Escape" && chosen.size && !document.querySelector(".dg-shade") && (chosen.clear(), mark()));
studio.on("pushed", ({ type }) => {
  if (["attributes", "resync"].includes(type)) readSoon();
  if (type === "job" && matrix) readSoon();
  if (["job", "resync"].includes(type)) look(); // also a run that ended while the studio was away
});
if (run) look();
read();
