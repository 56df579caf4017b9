// What the tests and the screenshots have in common: a store that is served, and a browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser, usual, hooked;
const shared = new Map(); // flags → a server that nobody changes

export const launch = () => chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// browsing has the tests of all files share a browser: to start one takes seconds.
export function browsing() {
	if (hooked) return;
	hooked = true;
	before(async () => {
		browser = await launch();
		usual = await contextWith({});
		await usual.newPage(); // keeps the window open
	});
	after(async () => {
		await browser.close();
		for (const server of shared.values()) await (await server).stop();
	});
}

// serve starts a store for a test: {url, token, ask, stop}. What fills it, and more, is said
// by the flags of the command in serve/. Where nothing can be changed, it is shared.
export function serve(t, ...flags) {
	if (!t || flags.some((flag) => ["-write", "-traffic", "-addr"].includes(flag))) return start(t, flags);
	const name = flags.join(" ");
	if (!shared.has(name)) shared.set(name, start(null, flags));
	return shared.get(name);
}

async function start(t, flags) {
	const process_ = spawn(process.env.SERVE, flags, { stdio: ["pipe", "pipe", "inherit"] });
	const lines = createInterface({ input: process_.stdout });
	const ended = new Promise((done) => process_.once("exit", done));
	const url = await Promise.race([
		new Promise((done) => lines.once("line", done)),
		ended.then(() => { throw new Error("the server has ended"); }),
	]);
	const stop = async () => {
		process_.stdin.end();
		await ended;
	};
	t?.after(stop);
	const at = flags.indexOf("-token");
	const token = at < 0 ? null : flags[at + 1];
	// ask is what another program does: it has the routes for programs.
	const ask = async (method, path, { body, headers = {} } = {}) => {
		const response = await fetch(new URL(path, url), {
			method, body, headers: { ...headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) },
		});
		const text = await response.text();
		assert.ok(response.ok || response.status === 404, `${method} ${path}: ${response.status} ${text}`);
		return { status: response.status, text, revision: Number(response.headers.get("go-store-revision")) };
	};
	return { url, token, ask, stop };
}

// Messages of the browser's own about answers that are no 200: the page shows those itself.
const expected = /Failed to load resource/;

async function contextWith(options) {
	const context = await browser.newContext({ viewport: { width: 1360, height: 800 }, reducedMotion: "reduce", ...options });
	context.setDefaultTimeout(45_000); // they are ended by what is waited for; the machine may be busy
	return context;
}

// open shows the page, in a window that the tests share: what a page keeps is kept by the
// server's address, or by the tab. With options a page has a window of its own. A test fails
// if the page throws, is refused something by its policy, or asks anybody but its own server
// for anything. prepare is given the window before the page is in it. With clock it is a test
// that turns the page's clock, by page.clock, which is one for all pages of a window.
export async function open(t, server, { hash = "", ready = true, prepare, clock = false, ...options } = {}) {
	const own = clock || Object.keys(options).length > 0;
	const context = own ? await contextWith(options) : usual;
	const page = await context.newPage();
	const wrong = [];
	page.on("pageerror", (error) => wrong.push(`thrown: ${error.stack}`));
	page.on("console", (message) => {
		if (["error", "warning"].includes(message.type()) && !expected.test(message.text())) wrong.push(`${message.type()}: ${message.text()}`);
	});
	page.on("request", (request) => {
		if (!request.url().startsWith(server.url)) wrong.push(`asks ${request.url()}`);
	});
	page.on("dialog", (dialog) => {
		wrong.push(`alert: ${dialog.message()}`);
		dialog.dismiss();
	});
	t.after(async () => {
		if (own) await context.close();
		else await page.close();
		assert.deepEqual(wrong, []);
	});
	if (clock) await page.clock.install();
	await prepare?.(page);
	await page.goto(server.url + hash);
	if (ready) await page.getByText("live", { exact: true }).waitFor();
	return page;
}

// accessible fails where axe finds anything.
export async function accessible(page, what) {
	if (!await page.evaluate(() => "axe" in globalThis)) await page.evaluate(axeSource);
	const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], preload: false, iframes: false }));
	assert.deepEqual(violations.map(({ id, nodes }) => `${what}: ${id}: ${nodes.map(({ html, failureSummary }) => html.slice(0, 160) + " " + failureSummary).join(" | ")}`), []);
}

// FROZEN is how long the page may not answer at a time, in milliseconds. Drawing a million
// rows takes minutes.
const FROZEN = 500;

// watchFreezes notes how long the page does not answer; what it returns ends that, and
// fails if it was too long. How long this process had to wait for a processor meanwhile is
// allowed for, since the page had to as well.
export async function watchFreezes(page) {
	const waits = monitorEventLoopDelay({ resolution: 5 });
	waits.enable();
	await page.evaluate(() => {
		globalThis.frozen = 0;
		let last = performance.now();
		setInterval(() => {
			const now = performance.now();
			globalThis.frozen = Math.max(globalThis.frozen, now - last);
			last = now;
		}, 5);
	});
	return async () => {
		const longest = Math.round(await page.evaluate(() => globalThis.frozen));
		const waited = Math.round(waits.max / 1e6);
		assert.ok(longest < FROZEN + 4 * waited, `the page did not answer for ${longest} ms, while this process waited ${waited} ms at most`);
		return longest;
	};
}

// treeItem is an item of the tree, by its whole name.
export const treeItem = (page, name) => page.locator(`#tree [role=treeitem][title=${JSON.stringify(name)}]`);

export const key = (page, name) => page.locator("#keys .row", { has: page.locator(".key", { hasText: name }) });

// shown is the value of the key that is shown; what an editor or a conflict shows is none.
export const shown = (page) => page.locator("#entry .panel pre").first();

// held keeps the page's next answer from such an address back, as it was: asked resolves
// once there is one, and so older than whatever is committed then; answer lets it through,
// and resolves once the page has it.
export async function held(page, address) {
	const [asked, through, had] = [signal(), signal(), signal()];
	await page.route(address, async (route) => {
		const response = await route.fetch();
		asked.resolve();
		await through.promise;
		const finished = page.waitForEvent("requestfinished", (request) => request === route.request());
		await route.fulfill({ response });
		await finished;
		had.resolve(page.evaluate(() => new Promise((done) => { setTimeout(done); })));
	}, { times: 1 });
	return {
		asked: asked.promise,
		answer() {
			through.resolve();
			return had.promise;
		},
	};
}

// signal is a promise and what resolves it; Node.js 20 has no Promise.withResolvers.
function signal() {
	let resolve;
	const promise = new Promise((done) => { resolve = done; });
	return { promise, resolve };
}
