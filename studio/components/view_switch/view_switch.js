/* On a phone: which part of the page is shown. */
const tabs = [...element.querySelectorAll("[role=tab]")];
const mark = (view) => tabs.forEach((tab) => {
  const on = tab.dataset.view === view;
  tab.setAttribute("aria-selected", String(on));
  tab.tabIndex = on ? 0 : -1;
});
element.addEventListener("click", (event) => event.target.dataset.view && window.studio.setView(event.target.dataset.view));
element.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const at = tabs.findIndex((tab) => tab.tabIndex === 0);
  const other = tabs[(at + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
  window.studio.setView(other.dataset.view);
  other.focus();
});
window.studio.on("view", ({ view }) => mark(view));
mark(document.body.dataset.view || "portraits");
