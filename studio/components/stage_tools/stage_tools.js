/* Beside the heading: choosing several portraits, and the bin. */
const studio = window.studio;
const { h, icon } = studio;
const box = element.querySelector(".gt");
const select = h("button", { type: "button", class: "ps-button ps-small", "aria-pressed": "false", "aria-label": "Select", onclick: () => studio.grid.select() }, icon("select"), h("span", {}, "Select"));
const bin = h("button", { type: "button", class: "ps-button ps-small", "aria-label": "Bin", onclick: () => studio.openBin() }, icon("trash"), h("span", {}, "Bin"));
box.append(select, bin);
studio.on("selecting", ({ on }) => (select.setAttribute("aria-pressed", String(on)), (select.lastChild.textContent = on ? "Done" : "Select"), select.setAttribute("aria-label", on ? "Done selecting" : "Select")));
studio.on("bin-count", ({ count }) => {
  bin.lastChild.textContent = count ? `Bin ${count}` : "Bin";
  bin.setAttribute("aria-label", count ? `Bin, ${count} portraits` : "Bin");
});
studio.on("tiles", () => (select.hidden = !studio.grid.portraits().length));
