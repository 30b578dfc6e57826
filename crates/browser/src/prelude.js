// Runs in every document before the site's own scripts: dialogs that wait for a person would stop the page.
(() => {
  const quiet = (name, answer) =>
    Object.defineProperty(window, name, { value: () => answer, configurable: true, writable: true });
  quiet("alert", undefined);
  quiet("confirm", false);
  quiet("prompt", null);
  quiet("print", undefined);
})();
