// The view of metrics: charts of what the store measures, every figure as a table, and those
// who listen. Rates and percentiles are of the second that has passed, from two snapshots.

import { $, brief, bytes as size, count, el, nanoseconds } from "./dom.js";
import { Chart } from "./charts.js";
import { show } from "./names.js";

const share = (n) => Number.isFinite(n) ? `${+n.toFixed(1)} %` : "–";

export class Metrics {
	#api;
	#changes;
	#before = null;
	#charts;
	#onerror;

	constructor(api, changes, onerror) {
		this.#api = api;
		this.#changes = changes;
		this.#onerror = onerror;
		this.#charts = charts.map((chart) => ({ ...chart, chart: new Chart(chart) }));
		$("#charts").append(...this.#charts.map(({ chart }) => chart.node));
	}

	// poll asks once; whoever calls does so every second while the view, or the page, is seen.
	async poll(seen) {
		let now;
		try {
			now = await this.#api.metrics();
		} catch (error) {
			this.#before = null;
			if (seen) this.#onerror(error);
			return;
		}
		now = { ...now, at: Date.parse(now.at), changes: this.#changes.total };
		const step = new Step(this.#before, now);
		this.#before = now;
		for (const { chart, figures } of this.#charts) chart.add(now.at, figures(step));
		if (!seen) return;
		this.#table(now);
		$("#uncollected").hidden = now.collecting;
		$("#charts-empty").hidden = this.#charts.some(({ chart }) => !chart.node.hidden);
		await this.#listeners().catch(this.#onerror);
	}

	draw() { for (const { chart } of this.#charts) chart.draw(); }

	#table({ counters, gauges, histograms }) {
		const rows = [];
		for (const [name, n] of Object.entries(counters)) rows.push([name, count(n)]);
		for (const [name, n] of Object.entries(gauges)) rows.push([name, /bytes/.test(name) ? size(n) : /_ns$/.test(name) ? nanoseconds(n) : brief(n)]);
		for (const [name, h] of Object.entries(histograms)) {
			const format = unit(h.unit);
			rows.push([name, `${count(h.count)} × ${h.count ? `${format(h.p50 ?? h.sum / h.count)}, p99 ${format(h.p99 ?? null)}, at most ${format(h.max ?? null)}` : "–"}`]);
		}
		rows.sort(([a], [b]) => a < b ? -1 : 1);
		$("#figures").replaceChildren(...rows.map(([name, text]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, text))));
	}

	async #listeners() {
		const { listeners, callbacks, more } = await this.#api.listeners();
		$("#listeners-note").textContent = `${count(callbacks)} ${callbacks === 1 ? "function is" : "functions are"} registered by OnChange.` + (more ? " There are more listeners than these." : "");
		$("#listeners-empty").hidden = listeners.length > 0;
		$("#listeners").hidden = listeners.length === 0;
		$("#listeners tbody").replaceChildren(...listeners.map((listener) => el("tr", {},
			el("td", {}, el(`span.kind.${listener.kind}`, {}, listener.kind)),
			el("td", {}, match(listener.group), el("span.slash", { "aria-hidden": "true" }, " › "), match(listener.key)),
			el("td.lag", {}, lag(listener)),
			el("td.number", {}, listener.behind ? el("span.soon", {}, "reads the log") : listener.dropped ? el("span.bad", {}, count(listener.dropped)) : "0"))));
	}
}

// Step is what lies between two snapshots.
class Step {
	constructor(before, now) {
		this.before = before;
		this.now = now;
		this.seconds = before ? (now.at - before.at) / 1000 : 0;
	}

	// rate is by how much the counters with such names, and not with others, grow in a second.
	rate(name, not = /^$/) {
		const names = Object.keys(this.now.counters).filter((counter) => name.test(counter) && !not.test(counter));
		if (!names.length || !(this.seconds > 0)) return null;
		const sum = (counters) => names.reduce((total, counter) => total + (counters[counter] ?? 0), 0);
		return Math.max(0, (sum(this.now.counters) - sum(this.before.counters)) / this.seconds);
	}

	changes() { return this.seconds > 0 ? Math.max(0, this.now.changes - this.before.changes) / this.seconds : null; }

	gauge(name) { return this.now.gauges[name] ?? null; }

	#histograms(name) {
		const found = Object.keys(this.now.histograms).filter((histogram) => name.test(histogram));
		return found.length ? found.map((histogram) => [this.before?.histograms[histogram], this.now.histograms[histogram]]) : null;
	}

	// happened is how often a second something was measured.
	happened(name) {
		const found = this.#histograms(name);
		if (!found || !(this.seconds > 0)) return null;
		return grown(found, "count") / this.seconds;
	}

	mean(name) {
		const found = this.#histograms(name);
		if (!found || !this.before) return null;
		const n = grown(found, "count");
		return n > 0 ? grown(found, "sum") / n : null;
	}

	// percentile of what was measured between the two, to the width of a bucket.
	percentile(name, part) {
		const found = this.#histograms(name);
		if (!found || !this.before) return null;
		const buckets = new Map();
		for (const [before, now] of found) {
			const old = new Map((before?.buckets ?? []).map((bucket) => [bucket.le ?? Infinity, bucket.count]));
			for (const bucket of now.buckets) {
				const n = bucket.count - (old.get(bucket.le ?? Infinity) ?? 0);
				if (n > 0) buckets.set(bucket.le ?? Infinity, (buckets.get(bucket.le ?? Infinity) ?? 0) + n);
			}
		}
		let left = part * [...buckets.values()].reduce((a, b) => a + b, 0);
		if (!(left > 0)) return null;
		let at = 0;
		for (const le of [...buckets.keys()].sort((a, b) => a - b)) {
			if (le !== Infinity) at = le;
			left -= buckets.get(le);
			if (left <= 0) break;
		}
		return at;
	}
}

const grown = (found, field) => found.reduce((sum, [before, now]) => sum + now[field] - (before?.[field] ?? 0), 0);

const latency = (title, name, note) => ({
	title, note, series: ["p50", "p99"], format: nanoseconds, figures: (step) => [step.percentile(name, 0.5), step.percentile(name, 0.99)],
});

const writes = /^requests\.(set|delete|touch|persist|batch|increment|compare|transaction|purge|tell)/;

const charts = [
	{ title: "Changes a second", note: "As this page receives them.", series: ["changes"], format: brief, figures: (step) => [step.changes()] },
	{ title: "Requests a second", series: ["reads", "writes"], format: brief, figures: (step) => [step.rate(/^requests\./, writes), step.rate(writes)] },
	latency("Latency of Get", /^requests\.get$/),
	latency("Latency of Set", /^requests\.set$/),
	{ title: "Commits a second", series: ["commits"], format: brief, figures: (step) => [step.happened(/^commits$/)] },
	latency("Commit", /^commits$/),
	latency("Sync", /^syncs$/, "What the disk takes, within a commit."),
	{ title: "Requests in a batch", note: "What one commit answers, on average.", series: ["requests"], format: brief, figures: (step) => [step.mean(/^batches$/)] },
	latency("Wait in the queue", /^queue_wait$/),
	{ title: "Requests in flight", series: ["requests"], format: brief, figures: (step) => [step.gauge("in_flight")] },
	{ title: "Write-ahead log", note: "It begins anew once it is in the database.", series: ["size"], format: size, figures: (step) => [step.gauge("wal_bytes")] },
	{ title: "Cache hits", note: "Of the reads that asked it.", series: ["hits"], format: share, figures: (step) => {
		const hits = step.rate(/^cache\.hits$/);
		const misses = step.rate(/^cache\.misses$/);
		return [hits + misses > 0 ? 100 * hits / (hits + misses) : null];
	} },
	{ title: "Log of changes", series: ["size"], format: size, figures: (step) => [step.gauge("log_bytes")] },
	{ title: "Open views", series: ["views"], format: brief, figures: (step) => [step.gauge("views")] },
];

const unit = (name) => ({ ns: nanoseconds, bytes: size }[name] ?? brief);

function match({ match, name }) {
	if (match === "any") return el("span.any", {}, "any");
	if (match === "exactly") return show(name, { most: 80 });
	return el("span", {}, show(name, { most: 80 }), el("span.any", {}, "…"));
}

function lag({ waiting, capacity }) {
	const text = capacity ? `${count(waiting)} of ${count(capacity)}` : count(waiting);
	if (!capacity) return text;
	return el("span", {}, meter(waiting / capacity), text);
}

// meter is a bar; its text stands beside it.
export function meter(part) {
	const fill = el("span.fill");
	fill.style.setProperty("--part", Math.max(0, Math.min(1, part)));
	return el(`span.meter${part >= 1 ? ".full" : part >= 0.8 ? ".near" : ""}`, { "aria-hidden": "true" }, fill);
}
