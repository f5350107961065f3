/* On a phone: which half of the page is shown. */
const tabs = [...element.querySelectorAll("[role=tab]")];
const mark = (view) => tabs.forEach((tab) => {
  const on = tab.dataset.view === view;
  tab.setAttribute("aria-selected", String(on));
  tab.tabIndex = on ? 0 : -1;
});
element.addEventListener("click", (event) => event.target.dataset.view && window.studio.setView(event.target.dataset.view));
element.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = tabs.find((tab) => tab.tabIndex === -1);
  window.studio.setView(other.dataset.view);
  other.focus();
});
window.studio.on("view", ({ view }) => mark(view));
mark(document.body.dataset.view || "portraits");
