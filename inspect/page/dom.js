// What every view needs. What comes out of the store reaches the page as text
// nodes only: there is no innerHTML here, and no other way to markup.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// el makes an element: el("a.link", {href: "#"}, child, "text", …). Listeners are onclick
// and the like; a null or false attribute is left out. A button submits nothing unless it
// is told to.
export function el(name, attributes = {}, ...children) {
	const [tag, ...classes] = name.split(".");
	const node = document.createElement(tag);
	if (tag === "button") node.type = "button";
	if (classes.length) node.className = classes.join(" ");
	for (const [key, value] of Object.entries(attributes)) {
		if (value === null || value === undefined || value === false) continue;
		if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
		else node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

// region is an element that scrolls, and so has to be reached by the keyboard.
export const region = (name, label, ...children) => el(name, { tabindex: "0", role: "region", "aria-label": label }, ...children);

export function svg(tag, attributes = {}, ...children) {
	const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
	node.append(...children);
	return node;
}

// icon is one of the symbols in index.html.
export function icon(name) {
	const use = svg("use", { href: "#i-" + name });
	return svg("svg", { class: "icon", "aria-hidden": "true", focusable: "false", viewBox: "0 0 16 16" }, use);
}

const numbers = new Intl.NumberFormat("en-GB");
export const count = (n) => numbers.format(n);
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

export function brief(n) {
	if (!Number.isFinite(n)) return "–";
	if (Math.abs(n) < 10_000) return numbers.format(Math.round(n * 10) / 10);
	for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
		if (Math.abs(n) >= size) return `${numbers.format(+(n / size).toPrecision(3))} ${unit}`;
	}
	return numbers.format(n);
}

export function bytes(n) {
	if (!Number.isFinite(n)) return "–";
	let i = 0;
	while (n >= 1024 && i < 4) {
		n /= 1024;
		i++;
	}
	return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${["B", "KiB", "MiB", "GiB", "TiB"][i]}`;
}

export function nanoseconds(n) {
	if (!Number.isFinite(n)) return "–";
	if (n < 1000) return `${Math.round(n)} ns`;
	for (const [unit, size] of [["µs", 1e3], ["ms", 1e6], ["s", 1e9]]) {
		if (n < size * 1000 || unit === "s") return `${+(n / size).toPrecision(3)} ${unit}`;
	}
}

// remaining is a time to live as it ticks down: the two largest units of it.
export function remaining(milliseconds) {
	if (milliseconds <= 0) return "expired";
	const seconds = Math.ceil(milliseconds / 1000);
	const units = [["y", 31_536_000], ["d", 86_400], ["h", 3600], ["m", 60], ["s", 1]];
	const first = units.findIndex(([, size]) => seconds >= size);
	let text = "";
	let rest = seconds;
	for (const [unit, size] of units.slice(first, first + 2)) {
		text += `${text && " "}${count(Math.floor(rest / size))}${unit}`;
		rest %= size;
	}
	return text;
}

// moment is a time where the page is read, to the millisecond.
export function moment(milliseconds) {
	const date = new Date(milliseconds);
	if (Number.isNaN(date.getTime())) return `${count(milliseconds)} ms`;
	return new Date(milliseconds - date.getTimezoneOffset() * 60_000).toISOString().slice(0, -1).replace("T", " ");
}

export const clock = (milliseconds) => moment(milliseconds).split(" ")[1];

// frame resolves when the page was painted next; soon, if it is hidden and is not painted.
export const frame = () => new Promise((done) => {
	if (document.hidden) setTimeout(done, 200);
	else requestAnimationFrame(done);
});

// flash marks what has changed for a moment.
export function flash(node) {
	node.classList.remove("changed");
	requestAnimationFrame(() => node.classList.add("changed"));
}

// modified is a key with which the browser, or the system, does something of its own.
export const modified = (event) => event.ctrlKey || event.metaKey || event.altKey;

export function later(wait, work) {
	let timer = 0;
	return () => {
		if (timer) return;
		timer = setTimeout(() => {
			timer = 0;
			work();
		}, wait);
	};
}

// settled runs work when no further call came for so long.
export function settled(wait, work) {
	let timer = 0;
	return (...given) => {
		clearTimeout(timer);
		timer = setTimeout(() => work(...given), wait);
	};
}

// toast says something in a corner, and to people who hear the page.
export function toast(text, kind = "note") {
	const note = el(`div.toast.${kind}`, {}, text);
	$("#toasts").append(note);
	setTimeout(() => note.remove(), kind === "bad" ? 8000 : 4000);
}

// ask shows a dialog of the page and resolves with its return value.
export function ask(dialog) {
	return new Promise((done) => {
		dialog.returnValue = "";
		dialog.addEventListener("close", () => done(dialog.returnValue), { once: true });
		dialog.showModal();
	});
}
