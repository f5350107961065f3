/* What the pages do beyond plain HTML: the theme a person chose in the studio, showing the password, a word on Caps Lock,
   the wait after too many attempts, and reading the link of a message, whose secret stands behind the #. Without this
   script everything can still be done but that last. */
(() => {
  "use strict";

  const NEW_PASSWORD = "/sign-in/password";
  const letter = takeLetter();

  try {
    const wished = localStorage.getItem("studio:theme");
    if (wished === "dark" || wished === "light") document.documentElement.classList.add(wished);
  } catch {
    // a browser that keeps nothing follows its system
  }

  /* What Auth wrote behind the #, out of the address and its history at once. Where it arrived on another of our pages,
     because the project leads to its Site URL, it goes on to the page for it. */
  function takeLetter() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (!said.has("access_token") && !said.has("error_code") && !said.has("error")) return null;
    const hash = location.hash;
    history.replaceState(null, "", location.pathname + location.search);
    if (location.pathname !== NEW_PASSWORD) location.replace(NEW_PASSWORD + hash);
    const isOne = ["invite", "recovery"].includes(said.get("type"));
    return { token: isOne ? said.get("access_token") : null };
  }

  function start() {
    openLetter(document.querySelector("#new-password-form"));
    const form = document.querySelector("form[data-busy]");
    if (!form) return;
    const submit = form.querySelector("#submit");
    const secrets = [...form.querySelectorAll("[type=password]")];
    const usual = submit.textContent;
    if (secrets.length) {
      showing(form.querySelector("#show"), secrets);
      capsLock(form, form.querySelector("#caps"));
    }
    keepEmail(form.querySelector("#email"), document.querySelector("#forgotten"));
    const wait = Number(form.dataset.wait || 0);
    if (wait > 0) waiting(submit, usual, document.querySelector("#said"), wait);
    form.addEventListener("submit", () => {
      for (const secret of secrets) secret.type = "password"; // so that no browser keeps it as a word once typed
      submit.disabled = true;
      submit.textContent = form.dataset.busy;
    });
    // back from the next page: the browser shows this one as it was left
    window.addEventListener("pageshow", (event) => event.persisted && ((submit.disabled = false), (submit.textContent = usual)));
  }

  /* The form where there is a link to use, else the words that say what to do. */
  function openLetter(form) {
    if (!form) return;
    if (letter && letter.token) {
      form.elements.letter.value = letter.token;
      const email = emailIn(letter.token);
      form.elements.email.value = email;
      form.querySelector("#whose").hidden = !email;
      form.hidden = false;
      for (const other of document.querySelectorAll("#no-letter, #over, #said")) other.hidden = true;
      form.elements.password.focus();
    } else if (letter) {
      form.hidden = true;
      document.querySelector("#over").hidden = false;
    } else if (form.hidden) document.querySelector("#no-letter").hidden = false;
  }

  /* For the eye and for password managers; the server reads it for itself, once the signature is sure. */
  function emailIn(token) {
    try {
      const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      const bytes = Uint8Array.from(atob(part), (sign) => sign.charCodeAt(0));
      return String(JSON.parse(new TextDecoder().decode(bytes)).email || "");
    } catch {
      return "";
    }
  }

  /* The address typed at the sign-in is there where a new password is asked for, and in no address line. */
  function keepEmail(email, forgotten) {
    const name = "studio:sign-in-email";
    try {
      if (forgotten) forgotten.addEventListener("click", () => sessionStorage.setItem(name, email.value));
      else if (!email.value && !email.readOnly) email.value = sessionStorage.getItem(name) || "";
      if (!forgotten) sessionStorage.removeItem(name);
    } catch {
      // a browser that keeps nothing has it typed again
    }
  }

  function showing(button, secrets) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const isShown = secrets[0].type === "password";
      for (const secret of secrets) secret.type = isShown ? "text" : "password";
      button.textContent = isShown ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(isShown));
      secrets[0].focus();
    });
  }

  function capsLock(form, hint) {
    const look = (event) => event.getModifierState && (hint.hidden = !event.getModifierState("CapsLock"));
    form.addEventListener("keydown", look);
    form.addEventListener("keyup", look);
  }

  function waiting(submit, usual, said, seconds) {
    const until = performance.now() + seconds * 1000;
    submit.disabled = true;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      submit.textContent = left > 0 ? `Wait ${left} s` : usual;
      if (left > 0) return void setTimeout(tick, 250);
      submit.disabled = false;
      if (!said) return;
      said.textContent = "You can try again now.";
      said.classList.remove("problem");
    };
    tick();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
