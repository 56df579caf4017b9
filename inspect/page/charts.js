// Charts of what changes by the second, drawn as SVG: a minute at first, five at most. Their
// colours are classes, so that the theme holds for them too.

import { el, svg } from "./dom.js";

const POINTS = 300;
const WIDTH = 600;
const HEIGHT = 120;

export class Chart {
	#series; // [{name, points}]
	#format;
	#figures;
	#times = [];
	#svg;
	#top;
	#cursor;
	#at = null;
	#zero;

	// title, a note below it, the names of one to three series, and what formats a figure.
	constructor({ title, note = "", series, format, area = series.length === 1 }) {
		this.title = title;
		this.#format = format;
		this.#series = series.map((name, i) => ({ name, points: [], line: svg("path", { class: `line c${i + 1}` }), area: area ? svg("path", { class: `area c${i + 1}` }) : null }));
		this.#cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
		this.#svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", focusable: "false" },
			svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: 0.5, y2: 0.5 }),
			svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
			svg("line", { class: "grid base", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }),
			...this.#series.flatMap(({ area, line }) => area ? [area, line] : [line]), this.#cursor);
		this.#top = el("span.top", { "aria-hidden": "true" });
		this.#figures = el("p.figures", {});
		this.#zero = el("span.when", { "aria-hidden": "true" });
		const plot = el("div.plot", {}, this.#svg, this.#top, this.#zero);
		plot.addEventListener("pointermove", (event) => this.#point(event));
		plot.addEventListener("pointerleave", () => {
			this.#at = null;
			this.draw();
		});
		this.node = el("figure.chart", { hidden: true }, el("figcaption", {}, el("h3", {}, title), this.#figures), plot, note ? el("p.note", {}, note) : "");
	}

	// add appends a figure for each series; null where there is none.
	add(time, figures) {
		this.#times.push(time);
		for (const [i, series] of this.#series.entries()) series.points.push(figures[i] ?? null);
		if (this.#times.length > POINTS) {
			this.#times.shift();
			for (const { points } of this.#series) points.shift();
		}
		if (figures.some((figure) => figure !== null && figure !== undefined)) this.node.hidden = false;
		this.draw();
	}

	#x(i) { return WIDTH - (this.#times.length - 1 - i) * WIDTH / this.#span(); }
	#span() { return Math.max(59, this.#times.length - 1); }

	draw() {
		if (this.node.hidden || !this.node.offsetParent) return;
		const most = nice(Math.max(0, ...this.#series.flatMap(({ points }) => points.map((point) => point ?? 0))));
		this.#top.textContent = this.#format(most);
		for (const { points, line, area } of this.#series) {
			const path = this.#path(points, most);
			line.setAttribute("d", path.join(""));
			area?.setAttribute("d", path.map((run) => run.replace(/^M([\d.-]+) /, `M$1 ${HEIGHT}L$1 `) + `V${HEIGHT}Z`).join(""));
		}
		const at = this.#at ?? this.#times.length - 1;
		this.#cursor.setAttribute("visibility", this.#at === null ? "hidden" : "visible");
		for (const end of ["x1", "x2"]) this.#cursor.setAttribute(end, this.#x(at));
		this.#zero.textContent = this.#at === null ? "" : new Date(this.#times[at]).toLocaleTimeString("en-GB");
		const several = this.#series.length > 1;
		const said = this.#series.map(({ name, points }) => [name, this.#format(points[at] ?? null)]);
		this.#figures.replaceChildren(...said.map(([name, figure], i) => el("span.figure", {},
			several ? el(`span.swatch.c${i + 1}`, { "aria-hidden": "true" }) : "", several ? el("span.of", {}, name) : "", el("strong", {}, figure))));
		this.#svg.setAttribute("aria-label", `${this.title}, the last five minutes: now ${said.map(([name, figure]) => several ? `${name} ${figure}` : figure).join(", ")}; at most ${this.#format(most)}`);
	}

	// path is a run for each stretch of points without a hole.
	#path(points, most) {
		const runs = [];
		let run = "";
		for (const [i, point] of points.entries()) {
			if (point === null) {
				if (run) runs.push(run);
				run = "";
				continue;
			}
			const y = HEIGHT - 1 - (point / most) * (HEIGHT - 4);
			run += `${run ? "L" : "M"}${this.#x(i).toFixed(1)} ${y.toFixed(1)}`;
		}
		if (run) runs.push(run);
		return runs;
	}

	#point(event) {
		const box = this.#svg.getBoundingClientRect();
		const x = (event.clientX - box.left) / box.width * WIDTH;
		const i = this.#times.length - 1 - Math.round((WIDTH - x) / WIDTH * this.#span());
		this.#at = Math.max(0, Math.min(this.#times.length - 1, i));
		this.draw();
	}
}

function nice(most) {
	if (!(most > 0)) return 1;
	const size = 10 ** Math.floor(Math.log10(most));
	for (const step of [1, 2, 2.5, 5, 10]) if (most <= step * size) return step * size;
	return most;
}
