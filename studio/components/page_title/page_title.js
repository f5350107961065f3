/* The heading of a page, its number, and the words in the browser's tab. */
const studio = window.studio;
const name = element.querySelector(".pt-name");
const more = element.querySelector(".pt-more");

function show({ title = props.title_, words = "" }) {
  name.textContent = title;
  more.textContent = words;
  document.title = `${title} \u00b7 Portrait Studio`;
}

studio.on("heading", show);
show({});
