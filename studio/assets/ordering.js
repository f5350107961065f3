/* Cards that are put into an order: dragged with a pointer, and the menu each of them has, walked by keyboard. */
(() => {
  "use strict";
  const studio = window.studio;

  /** Lets a person drag the cards of `list` that match `selector`. `ids` gives the order as it stands; a drop calls
      `place(dragged, target, isAfter)`. A card under way is marked `ps-dragged`, the one below it `ps-over`. */
  studio.dragToOrder = (list, selector, { ids, place }) => {
    let dragged = null;
    const cardOf = (event) => event.target.closest(`${selector}[draggable]`);
    list.addEventListener("dragstart", (event) => {
      const card = cardOf(event);
      if (!card) return;
      dragged = card.dataset.id;
      card.classList.add("ps-dragged");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", dragged);
    });
    list.addEventListener("dragover", (event) => {
      const card = cardOf(event);
      if (!dragged || !card) return;
      event.preventDefault();
      list.querySelectorAll(".ps-over").forEach((other) => other !== card && other.classList.remove("ps-over"));
      card.classList.toggle("ps-over", card.dataset.id !== dragged);
    });
    list.addEventListener("dragend", () => {
      dragged = null;
      list.querySelectorAll(".ps-over, .ps-dragged").forEach((card) => card.classList.remove("ps-over", "ps-dragged"));
    });
    list.addEventListener("drop", (event) => {
      event.preventDefault();
      const card = cardOf(event);
      if (!dragged || !card || card.dataset.id === dragged) return;
      const order = ids();
      place(dragged, card.dataset.id, order.indexOf(dragged) < order.indexOf(card.dataset.id));
    });
  };

  /** A key inside a card's open menu: arrows walk, Tab and Escape close it (`close(true)` gives the focus back). */
  studio.walkMenu = (event, menu, close) => {
    if (event.key === "Escape") return (event.stopPropagation(), close(true));
    if (event.key === "Tab") return close(true);
    const items = [...menu.children];
    const next = studio.stopAfter(event.key, items.indexOf(document.activeElement), items.length);
    if (next !== null) (event.preventDefault(), items[next].focus());
  };
})();
