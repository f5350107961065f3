/* The way to the other pages: a slim column on a desk, a sheet behind a button on a phone. */
const studio = window.studio;
const { h, icon } = studio;
const nav = element.querySelector(".pn");
const SVG = "http://www.w3.org/2000/svg";
const ROOMS = [
  { key: "editor", path: "/", label: "Editor", symbol: "pen" },
  { key: "create", path: "/create", label: "Create", symbol: "newcomer" },
  { key: "library", path: "/library", label: "Library", symbol: "library" },
  { key: "attributes", path: "/attributes", label: "Attributes", symbol: "matrix" },
];

function mark() {
  const draw = (tag, attributes) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const svg = draw("svg", { viewBox: "0 0 32 32", class: "pn-mark", "aria-hidden": "true" });
  svg.append(
    draw("rect", { class: "pn-plate", x: 1, y: 1, width: 30, height: 30, rx: 9 }),
    draw("circle", { class: "pn-head", cx: 16, cy: 12.5, r: 5 }),
    draw("path", { class: "pn-body", d: "M6.500 27c.8-5.600 4.600-8.500 9.500-8.500s8.700 2.900 9.500 8.500" }),
  );
  return svg;
}

function link(room) {
  const here = room.key === props.here_;
  return h("a", { class: "pn-link", href: props.base_ + room.path, "aria-current": here ? "page" : null, "data-room": room.key }, icon(room.symbol), h("span", {}, room.label));
}

for (const room of ROOMS) {
  if (room.key !== props.here_) studio.command({ id: `go-${room.key}`, label: `Go to ${room.label}`, group: "Pages", icon: room.symbol, when: () => room.key !== "create" || studio.mayMake(), run: () => location.assign(props.base_ + room.path) });
}
studio.command({ id: "queue", label: "Show the queue", group: "Pages", icon: "queue", run: () => studio.announce("queue") });

const count = h("span", { class: "pn-count", hidden: true });
const unit = h("span", { class: "ps-hidden" });
const queue = h("button", { type: "button", class: "pn-link pn-queue", "aria-haspopup": "dialog", onclick: () => (fold(), studio.announce("queue")) }, icon("queue"), h("span", {}, "Queue"), count, unit);
const opener = h("button", { type: "button", class: "pn-open", "aria-label": "Menu", "aria-expanded": "false", onclick: () => (isOpen() ? fold(true) : unfold()) }, icon("menu"));
const shade = h("div", { class: "pn-shade", onclick: () => fold(true) });

const isOpen = () => nav.classList.contains("pn-unfolded");

function unfold() {
  nav.classList.add("pn-unfolded");
  opener.setAttribute("aria-expanded", "true");
  (nav.querySelector("[aria-current]") ?? nav.querySelector(".pn-link")).focus();
}

function fold(giveFocusBack = false) {
  if (!isOpen()) return;
  nav.classList.remove("pn-unfolded");
  opener.setAttribute("aria-expanded", "false");
  if (giveFocusBack) opener.focus();
}

nav.before(opener);
nav.after(shade);
nav.replaceChildren(h("a", { class: "pn-home", href: `${props.base_}/`, "aria-label": "Portrait Studio" }, mark(), h("b", {}, "Portrait Studio")), ...ROOMS.map(link), queue);
nav.addEventListener("keydown", (event) => {
  if (event.key === "Escape") fold(true);
  if (isOpen()) studio.trapTab(event, nav);
});
studio.walkWithArrows(nav, ".pn-link");
studio.on("queue-count", ({ many }) => {
  count.hidden = !many;
  count.textContent = many > 99 ? "99+" : String(many);
  unit.textContent = many ? (many === 1 ? " picture" : " pictures") : "";
});
// what is typed on this page is saved, or kept, before another one is opened
nav.addEventListener("click", (event) => {
  const target = event.target.closest("a");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || !studio.isDirty()) return;
  event.preventDefault();
  studio.flush().finally(() => location.assign(target.href));
});
document.body.classList.add("ps-paged");
document.body.dataset.room = props.here_;
