/* What the page can do, by name: for the palette, for keys, and for the list of keys. A part adds its own with
   studio.command({id, label, keys, group, icon, run, when}). Single letters act only where nothing is being typed,
   and can be switched off (WCAG 2.1.4). */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, desk } = studio;
  const commands = [];
  const SINGLE = "studio:single-keys";
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  const MOD = isMac ? "\u2318" : "Ctrl";

  const command = (one) => commands.push(one);
  const possible = () => commands.filter((one) => !one.isHidden && (one.when?.() ?? true));
  const hasDesk = () => desk.id !== null;
  const canChange = () => hasDesk() && studio.mayChange();
  const inEditor = () => document.body.dataset.room === "editor";
  const singles = () => localStorage.getItem(SINGLE) !== "off";
  const isTyping = (target) => Boolean(target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]"));
  const isBusy = () => Boolean(document.querySelector(".dg, .cf:not([hidden])"));
  const lightbox = () => document.querySelector(".lb:not([hidden])");

  /** The portrait after (or before) the one in the large view, or the one that has the focus. */
  function step(by) {
    const box = lightbox();
    if (box) return box.querySelector(by > 0 ? ".lb-next" : ".lb-prev")?.click();
    const tiles = [...document.querySelectorAll("#grid .pg-open")];
    if (!tiles.length) return;
    studio.setView("portraits");
    const at = tiles.findIndex((tile) => tile.closest(".pg-tile").contains(document.activeElement));
    const next = tiles[at < 0 ? (by > 0 ? 0 : tiles.length - 1) : (at + by + tiles.length) % tiles.length];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  /** Star the portrait in the large view, or the one that has the focus. */
  function star() {
    const place = lightbox() ?? document.activeElement.closest?.(".pg-tile");
    const button = place?.querySelector('[data-action="primary"], .pg-star[aria-pressed="false"]');
    if (button) button.click();
    else if (!place) studio.notice("Choose a portrait first: N and P walk through them.");
  }

  command({ id: "new-character", label: "New character", group: "Characters", icon: "add", when: () => inEditor() && studio.mayMake(), run: () => (studio.isDirty() ? studio.flush().then(() => studio.announce("create")) : studio.announce("create")) });
  command({ id: "generate", label: "Generate", keys: [MOD, "Enter"], group: "Portraits", icon: "spark", when: canChange, run: () => document.querySelector("#gen")?.click() });
  command({ id: "save", label: "Save now", keys: [MOD, "S"], group: "Characters", icon: "check", when: canChange, run: () => studio.flush() });
  command({ id: "next", label: "Next portrait", keys: ["N"], group: "Portraits", icon: "forward", when: hasDesk, run: () => step(1) });
  command({ id: "previous", label: "Previous portrait", keys: ["P"], group: "Portraits", icon: "back", when: hasDesk, run: () => step(-1) });
  command({ id: "star", label: "Set as primary", keys: ["S"], group: "Portraits", icon: "star", when: canChange, run: star });
  command({ id: "portraits", label: "Show portraits", keys: ["1"], group: "Go to", icon: "picture", when: hasDesk, run: () => studio.setView("portraits") });
  command({ id: "scenes", label: "Show scenes", keys: ["2"], group: "Go to", icon: "layers", when: hasDesk, run: () => studio.setView("scenes") });
  command({ id: "new-scene", label: "New scene", group: "Scenes", icon: "add", when: canChange, run: () => studio.announce("new-scene") });
  command({ id: "import-cards", label: "Import character cards", group: "Characters", icon: "download", when: () => inEditor() && studio.mayMake(), run: () => studio.announce("import-cards") });
  command({ id: "export-card", label: "Export as a character card", group: "Characters", icon: "upload", when: hasDesk, run: () => studio.announce("export-card") });
  command({ id: "theme", label: "Switch between light and dark", group: "Studio", icon: "moon", run: () => studio.toggleTheme() });
  command({ id: "help", label: "Keyboard shortcuts", keys: ["?"], group: "Studio", icon: "help", run: () => help() });
  command({ id: "palette", label: "Search characters and commands", keys: [MOD, "K"], group: "Go to", icon: "search", isHidden: true, run: () => studio.announce("palette") });

  const keysOf = (one) => h("span", { class: "pl-keys" }, ...(one.keys ?? []).map((key) => h("kbd", {}, key)));

  function help() {
    const groups = Map.groupBy ? Map.groupBy(commands.filter((one) => one.keys), (one) => one.group) : new Map([["Keys", commands.filter((one) => one.keys)]]);
    const part = ([name, ones]) => h("section", { class: "pl-part" }, h("h3", {}, name), h("dl", {}, ...ones.map((one) => h("div", {}, h("dt", {}, one.label), h("dd", {}, keysOf(one))))));
    const box = h("input", { type: "checkbox", id: "pl-singles" });
    box.checked = singles();
    box.addEventListener("change", () => localStorage.setItem(SINGLE, box.checked ? "on" : "off"));
    const more = [["Walk through portraits and scenes", ["\u2190", "\u2192", "\u2191", "\u2193"]], ["Move a scene", ["Alt", "\u2190 \u2192"]], ["Close what is open", ["Esc"]]];
    const rest = h("section", { class: "pl-part" }, h("h3", {}, "Everywhere"), h("dl", {}, ...more.map(([label, keys]) => h("div", {}, h("dt", {}, label), h("dd", {}, keysOf({ keys }))))));
    studio.dialog({ title: "Keyboard shortcuts", isWide: true, testid: "keyboard", body: [h("div", { class: "pl-help" }, ...[...groups].map(part), rest), h("label", { class: "pl-single", for: "pl-singles" }, box, "Single keys act while nothing is being typed")] });
  }

  function pressed(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") return commands.find((one) => one.id === "palette");
    if (event.ctrlKey || event.metaKey || event.altKey || !singles() || isTyping(event.target) || isBusy()) return null;
    return possible().find((one) => one.keys?.length === 1 && one.keys[0].toLowerCase() === event.key.toLowerCase());
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const one = pressed(event);
    if (one) (event.preventDefault(), one.run());
  });

  Object.assign(studio, { command, commands: possible, keysOf, inEditor });
})();
