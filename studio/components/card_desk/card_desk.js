/* Character cards: many in, with a report each, and one out, with what it loses said first. Files go one by one to
   /cards, three at a time: none stops the rest. */
const studio = window.studio;
const { h, icon, desk } = studio;
const AT_ONCE = 3;
const MOST = 64 * 1024 * 1024; // bytes of one file, as the server has it
const ENDINGS = ".json,.png,.webp,.charx,.jpg,.jpeg";
const KINDS = [
  { kind: "png", label: "PNG", words: "The primary portrait with the card inside. Most programs take it." },
  { kind: "v3", label: "JSON, V3", words: "Text only, the newest form." },
  { kind: "v2", label: "JSON, V2", words: "Text only, for older programs." },
];

async function sentence(answer) {
  try {
    return (await answer.json()).error || "The studio did not take it.";
  } catch {
    return "The studio did not take it. Try again.";
  }
}

/* ---- in ---- */

async function send(file, options) {
  if (file.size > MOST) return { state: "refused", sentence: "A card file has at most 64 MiB." };
  const query = new URLSearchParams({ fileName: file.name, rightsConfirmed: String(options.rights), again: String(options.again) });
  try {
    const answer = await fetch(`/cards?${query}`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    return answer.ok ? { state: "imported", ...(await answer.json()) } : { state: "refused", sentence: await sentence(answer) };
  } catch {
    return { state: "refused", sentence: "The studio was away. Import this file again." };
  }
}

function reportRow(file, result, close) {
  const good = result.state === "imported";
  const open = () => (close(), studio.open(result.characterId));
  const notes = (result.notes ?? []).map((note) => h("li", {}, note.sentence));
  const author = result.authorNotes ? h("li", { class: "cd-author" }, `Its author says: ${result.authorNotes}`) : null;
  return h("li", { class: `cd-row${good ? "" : " cd-bad"}`, "data-testid": good ? "card-imported" : "card-refused" }, icon(good ? "check" : "alert"),
    h("div", { class: "cd-words" }, h("b", {}, good ? result.name || "Untitled" : file.name), good ? h("small", {}, `${result.form} \u00b7 ${file.name}`) : h("small", {}, result.sentence),
      notes.length || author ? h("ul", {}, ...notes, author) : null),
    good ? h("button", { type: "button", class: "ps-button ps-small", onclick: open }, "Open") : null);
}

function importCards(files = []) {
  let chosen = [...files];
  let running = false;
  let stopped = false;
  const input = h("input", { type: "file", multiple: true, accept: ENDINGS, class: "ps-hidden", id: "cd-files", "aria-label": "Card files" });
  const what = h("b", {}, "Drop card files here");
  const drop = h("label", { class: "cd-drop", for: "cd-files" }, icon("download"), what, h("small", {}, "or choose them: JSON, PNG, WEBP, CHARX; one or a thousand"));
  const box = (id, words) => {
    const tick = h("input", { type: "checkbox", id });
    return { tick, node: h("label", { class: "pl-single", for: id }, tick, h("span", {}, words)) };
  };
  const rights = box("cd-rights", "I have the rights to the pictures in these cards, and they show no real person who did not agree.");
  const again = box("cd-again", "Import cards that are here already once more.");
  const fill = h("i", {});
  const bar = h("div", { class: "pg-bar", role: "progressbar", "aria-label": "Cards imported", "aria-valuemin": 0, "aria-valuemax": 100, "data-known": "true" }, fill);
  const tally = h("p", { class: "dg-lead", role: "status" });
  const report = h("ul", { class: "cd-report", "aria-label": "Report" });
  const progress = h("div", { class: "cd-progress", hidden: true }, tally, bar);
  const go = h("button", { type: "button", class: "ps-button ps-primary", disabled: true, onclick: () => run() }, "Import");
  const stop = h("button", { type: "button", class: "ps-button", onclick: () => (running ? (stopped = true) : opened.close()) }, "Close");
  const opened = studio.dialog({ title: "Import character cards", body: [input, drop, h("p", { class: "dg-hint" }, "Without the rights, characters come without their pictures."), rights.node, again.node, progress, report], foot: [stop, go],
    mayClose: () => !running || (studio.notice("The import goes on until it is stopped."), false), testid: "import-cards" });

  function choose(list) {
    if (running) return;
    chosen = [...list];
    what.textContent = chosen.length ? `${chosen.length.toLocaleString()} ${chosen.length === 1 ? "file" : "files"} chosen` : "Drop card files here";
    go.disabled = !chosen.length;
    go.textContent = chosen.length > 1 ? `Import ${chosen.length.toLocaleString()} cards` : "Import";
  }

  async function run() {
    const all = chosen;
    const options = { rights: rights.tick.checked, again: again.tick.checked };
    let next = 0;
    let done = 0;
    let good = 0;
    running = true;
    stopped = false;
    go.disabled = input.disabled = true;
    stop.textContent = "Stop";
    report.replaceChildren();
    progress.hidden = false;
    const show = () => {
      const percent = Math.round((100 * done) / all.length);
      fill.style.width = `${percent}%`;
      bar.setAttribute("aria-valuenow", percent);
      const refused = done - good;
      tally.textContent = `${done.toLocaleString()} of ${all.length.toLocaleString()}: ${good.toLocaleString()} imported${refused ? `, ${refused.toLocaleString()} not` : ""}`;
    };
    show();
    const worker = async () => {
      while (next < all.length && !stopped) {
        const file = all[next++];
        const result = await send(file, options);
        done += 1;
        if (result.state === "imported") good += 1;
        const row = reportRow(file, result, opened.close);
        result.state === "imported" ? report.append(row) : report.prepend(row); // what needs a person stands above
        show();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    running = false;
    input.disabled = false;
    stop.textContent = "Close";
    choose(all.slice(next)); // what a stop left can be gone on with
    studio.announce("cards-imported");
  }

  input.addEventListener("change", () => choose(input.files));
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => (event.preventDefault(), drop.classList.add("cd-over")));
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("cd-over"));
  drop.addEventListener("drop", (event) => (event.preventDefault(), choose(event.dataTransfer.files)));
  choose(chosen);
}

/* ---- out ---- */

async function download(kind) {
  const answer = await fetch(`/cards/${encodeURIComponent(desk.id)}?kind=${kind}`);
  if (!answer.ok) return studio.notice(await sentence(answer), { seconds: 10 });
  const named = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "");
  const url = URL.createObjectURL(await answer.blob());
  const link = h("a", { href: url, download: named ? decodeURIComponent(named[1]) : "card" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const BLOCKING = new Set(["NO_NAME", "NO_PICTURE"]);

function exportCard() {
  if (desk.id === null) return;
  const choice = (one) => {
    const say = h("ul", { class: "cd-losses" });
    const get = h("button", { type: "button", class: "ps-button ps-small", disabled: true, onclick: () => download(one.kind) }, icon("download"), "Download");
    const node = h("section", { class: "cd-kind", "data-kind": one.kind }, h("div", { class: "cd-words" }, h("b", {}, one.label), h("small", {}, one.words), say), get);
    fetch(`/cards/${encodeURIComponent(desk.id)}/report?kind=${one.kind}`)
      .then(async (answer) => {
        const notes = answer.ok ? (await answer.json()).notes : [{ code: "NO_NAME", sentence: await sentence(answer) }];
        say.replaceChildren(...(notes.length ? notes.map((note) => h("li", { class: BLOCKING.has(note.code) ? "cd-bad" : null }, note.sentence)) : [h("li", { class: "cd-good" }, "Nothing is left out.")]));
        get.disabled = notes.some((note) => BLOCKING.has(note.code));
        node.classList.add("cd-ready");
      })
      .catch(() => say.replaceChildren(h("li", { class: "cd-bad" }, "The studio is away. Close this and try again.")));
    return node;
  };
  const start = async () => {
    if (studio.isDirty()) await studio.flush(); // the file holds what is saved
    studio.dialog({ title: "Export as a character card", body: [h("p", { class: "dg-lead" }, "For other programs. What only this studio knows goes along under a key of its own; ids and addresses of ours never do."), ...KINDS.map(choice)], testid: "export-card" });
  };
  start();
}

studio.on("import-cards", () => importCards());
studio.on("export-card", exportCard);
