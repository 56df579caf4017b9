// Runs before the first paint, so that a chosen theme does not flash the other one.
(() => {
	try {
		const chosen = localStorage.getItem("gostore.theme");
		if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
	} catch { /* no storage: the system's own preference holds */ }
})();
