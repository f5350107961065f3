/* Light or dark: follows the system until a person chooses; this browser remembers the choice. */
const button = element.querySelector(".tt");
const render = () => {
  const dark = window.studio.isDark();
  button.replaceChildren(window.studio.icon(dark ? "sun" : "moon"));
  button.title = dark ? "Light theme" : "Dark theme";
};
button.addEventListener("click", window.studio.toggleTheme);
window.studio.on("theme", render);
render();
