/* Portraits or Scenes in the middle of the page. On a phone the view switch above does the same. */
const studio = window.studio;
const tabs = [...element.querySelectorAll("[role=tab]")];
for (const tab of tabs) tab.querySelector(".sg-icon").replaceWith(studio.icon(tab.dataset.stage === "scenes" ? "layers" : "picture"));

function mark(stage) {
  document.body.dataset.stage = stage;
  for (const tab of tabs) {
    const on = tab.dataset.stage === stage;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
  }
}

element.addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) studio.setView(tab.dataset.stage);
});
element.addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  const other = tabs.find((tab) => tab.tabIndex === -1);
  studio.setView(other.dataset.stage);
  other.focus();
});
studio.on("view", ({ view }) => (view === "portraits" || view === "scenes") && mark(view));
mark(document.body.dataset.view === "scenes" ? "scenes" : "portraits");
