// What is committed, as it is committed: server-sent events, read by fetch, so that the
// token goes in a header. After an interruption it goes on behind the last event that it
// has seen. It reads no faster than the page can draw: the server then says what was missed.

import { frame } from "./dom.js";

const BUDGET = 400; // events between two frames
const SILENCE = 40_000; // milliseconds without a sign of life, heartbeats included

export class Feed {
	#api;
	#events; // onevents(events), onstatus(status), onerror(error)
	#last = ""; // id of an event: those of a batch share their revision
	#attempt = 0;
	#stop = null;

	constructor(api, events) {
		this.#api = api;
		this.#events = events;
	}

	// start follows everything behind a revision.
	start(revision) {
		this.#last = revision + ".end";
		this.stop();
		this.#stop = new AbortController();
		this.#run(this.#stop);
	}

	stop() {
		this.#stop?.abort();
		this.#stop = null;
	}

	again = () => {}; // tries at once to connect, if it waits to

	async #run(stop) {
		while (!stop.signal.aborted) {
			try {
				await this.#connect(stop.signal);
				this.#attempt = Math.max(1, this.#attempt);
			} catch (error) {
				if (stop.signal.aborted) return;
				if (error.status === 401 || error.status === 403) {
					this.#events.onerror(error);
					return;
				}
				this.#attempt++;
			}
			if (stop.signal.aborted) return;
			await this.#wait(Math.min(15, 2 ** (this.#attempt - 1) / 2));
		}
	}

	async #wait(seconds) {
		const until = Date.now() + seconds * 1000;
		let soon = false;
		this.again = () => { soon = true; };
		while (!soon && Date.now() < until && this.#stop) {
			this.#events.onstatus({ state: "waiting", seconds: Math.ceil((until - Date.now()) / 1000) });
			await new Promise((done) => setTimeout(done, 250));
		}
	}

	async #connect(signal) {
		this.#events.onstatus({ state: "connecting" });
		const silence = new AbortController();
		let timer = 0;
		const alive = () => {
			clearTimeout(timer);
			timer = setTimeout(() => silence.abort(), SILENCE);
		};
		alive();
		try {
			const response = await this.#api.stream(this.#last, AbortSignal.any([signal, silence.signal]));
			this.#attempt = 0;
			this.#events.onstatus({ state: "live" });
			await this.#read(response.body.getReader(), alive);
		} finally {
			clearTimeout(timer);
		}
	}

	async #read(reader, alive) {
		const decoder = new TextDecoder();
		let text = "";
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			alive();
			text += decoder.decode(value, { stream: true });
			const blocks = text.split(/\r?\n\r?\n/);
			text = blocks.pop();
			for (let i = 0; i < blocks.length; i += BUDGET) {
				const sent = blocks.slice(i, i + BUDGET).map(parse);
				const events = sent.map((fields) => this.#api.event(fields)).filter(Boolean);
				this.#last = sent.findLast(({ id }) => id)?.id ?? this.#last;
				if (events.length) this.#events.onevents(events);
				if (blocks.length > BUDGET / 4) await frame();
			}
		}
	}
}

// parse reads one event of a stream: its fields, data joined by lines.
function parse(block) {
	const fields = { data: "" };
	for (const line of block.split(/\r?\n/)) {
		const colon = line.indexOf(":");
		if (colon === 0) continue; // a comment
		const name = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
		if (name === "data") fields.data += (fields.data && "\n") + value;
		else fields[name] = value;
	}
	return fields;
}
