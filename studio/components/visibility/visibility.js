/* Draft or public, said in words, with the way to change it; and who writes suggestions here. */
const studio = window.studio;
const { icon, desk } = studio;
const turn = element.querySelector(".vi-turn");
element.querySelector(".vi-writer").textContent = `Suggestions: ${props.writer_}.`;

studio.on("facts", () => {
  const open = desk.facts.public;
  element.querySelector(".vi-icon").replaceChildren(icon(open ? "globe" : "lock"));
  element.querySelector(".vi-state").textContent = open ? "Public" : "Draft";
  element.querySelector(".vi-say").textContent = open ? "Everybody on the platform sees it." : "Only people of the studio see it.";
  turn.textContent = open ? "Withdraw" : "Publish";
});
turn.addEventListener("click", () => studio.announce("open-publishing"));
