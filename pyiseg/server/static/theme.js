// Dark or light: as the system says until the user says otherwise. A script of its own in the page's head, not a module,
// so that it has run before anything is shown.
{
  const KEY = "pyiseg-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  try {
    const chosen = localStorage.getItem(KEY);
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }

  const describe = (button) => {
    const label = isDark() ? "Change to light colors" : "Change to dark colors";
    button.setAttribute("aria-label", label);
    button.title = label;
  };

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    describe(button);
    system.addEventListener("change", () => describe(button));
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      const isSystem = (theme === "dark") === system.matches;
      if (isSystem) delete root.dataset.theme; // from now on with the system again
      else root.dataset.theme = theme;
      try {
        if (isSystem) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, theme);
      } catch {
        // As above.
      }
      describe(button);
      dispatchEvent(new Event("themechange"));
    });
  });
}
