/* Folds its section away; the browser remembers, so a reload shows what one had open. */
const studio = window.studio;
const button = element.querySelector(".sh");
const key = `studio:section:${props.key_}`;
element.querySelector(".sh-title").textContent = props.title_;
element.querySelector(".sh-hint").textContent = props.hint_;
button.append(studio.icon("down"));

function set(open) {
  element.closest(".section").classList.toggle("closed", !open);
  button.setAttribute("aria-expanded", String(open));
}

button.addEventListener("click", () => {
  const open = button.getAttribute("aria-expanded") !== "true";
  localStorage.setItem(key, open ? "open" : "closed");
  set(open);
  studio.announce("section");
});
set((localStorage.getItem(key) ?? (props.open_ ? "open" : "closed")) === "open");
