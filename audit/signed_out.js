// A page whose person was signed out asks the server in vain whether it is there; take them to the sign-in instead,
// which leads back here.
(() => {
  if (window.leavesWhenSignedOut) return;
  window.leavesWhenSignedOut = true;
  const seen = (status) => {
    if (status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  };
  const { fetch: asked } = window;
  window.fetch = async (...given) => {
    const answer = await asked(...given);
    seen(answer.status);
    return answer;
  };
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (...given) {
    this.addEventListener("loadend", () => seen(this.status));
    return send.apply(this, given);
  };
})();
