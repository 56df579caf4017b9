import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, held, key, open, serve, shown, treeItem, watchFreezes } from "../harness.js";

browsing();

test("what is committed appears at once, everywhere it is shown", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/a", { body: "one" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=a" });
	assert.equal(await shown(page).textContent(), "one");
	await server.ask("PUT", "v1/g/a", { body: "two" });
	await page.locator("#entry .panel pre", { hasText: /^two$/ }).waitFor();
	await key(page, "a").locator(".value", { hasText: "two" }).waitFor();
	await server.ask("PUT", "v1/g/b", { body: "new" });
	await key(page, "b").waitFor();
	await server.ask("DELETE", "v1/g/a");
	await page.getByText("This key was deleted.").waitFor();
	await page.waitForFunction(() => document.querySelectorAll("#keys .row").length === 1);
	await page.getByRole("link", { name: "Changes" }).click();
	const rows = page.locator("#changes-list li");
	await rows.nth(2).waitFor();
	assert.deepEqual(await rows.locator(".kind").allTextContents(), ["delete", "set", "set"]);
	await page.locator("#revision", { hasText: "4" }).waitFor();
	await accessible(page, "changes");
	await rows.nth(1).click();
	await page.locator("#entry h2", { hasText: /^b$/ }).waitFor();
});

test("a change of the key without a name is opened as any other", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server, { hash: "#/changes" });
	await server.ask("PUT", "v1/g/,", { body: "of no name" });
	await page.locator("#changes-list li").click();
	await page.locator("#entry .panel pre", { hasText: "of no name" }).waitFor();
});

test("paused is paused, and nothing of it is lost", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server, { hash: "#/changes" });
	await page.getByText("Nothing has been committed since").waitFor();
	await page.keyboard.press("p");
	for (const name of ["a", "b", "c"]) await server.ask("PUT", "v1/g/" + name, { body: "v" });
	await page.getByRole("button", { name: "Go on (3 new)" }).waitFor();
	assert.equal(await page.locator("#changes-list li").count(), 0);
	await page.keyboard.press("p");
	await page.locator("#changes-list li").nth(2).waitFor();
	assert.match(await page.locator("#changes-list li").first().textContent(), /›c/);
});

test("only groups with a prefix", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server, { hash: "#/changes" });
	await page.getByLabel("Only of groups that begin with").fill("shop:");
	await server.ask("PUT", "v1/other/k", { body: "v" });
	await server.ask("PUT", "v1/shop:orders/k", { body: "v" });
	await page.locator("#changes-list li").first().waitFor();
	assert.equal(await page.locator("#changes-list li").count(), 1);
});

test("after an interruption the page goes on where it was", async (t) => {
	const first = await serve(t, "-fill", "empty", "-write");
	const address = new URL(first.url).host;
	await first.ask("PUT", "v1/g/a", { body: "one" });
	const page = await open(t, first, { hash: "#/changes" });
	await first.stop();
	await page.getByText("The program does not answer.").waitFor();
	const second = await serve(t, "-fill", "empty", "-write", "-addr", address);
	await page.getByRole("button", { name: "Try now" }).click();
	await page.getByText("live", { exact: true }).waitFor();
	await page.locator("#lost").waitFor({ state: "hidden" });
	// It is another store, whose revisions have not come as far.
	await page.locator(".gap", { hasText: "The store is another one" }).waitFor();
	await second.ask("PUT", "v1/g/b", { body: "two" });
	await page.locator("#changes-list li", { hasText: "›b" }).waitFor();
	await accessible(page, "gap");
});

const long = "x".repeat(5000); // more than a stream brings of a value

test("an answer that comes late does not hide what is newer", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "old" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await shown(page).waitFor();
	let late = await held(page, "**/ui/entry/g/k?*");
	await server.ask("PUT", "v1/g/k", { body: long });
	await late.asked;
	await server.ask("PUT", "v1/g/k", { body: "newest" });
	await page.locator("#entry .panel pre", { hasText: /^newest$/ }).waitFor();
	await late.answer();
	assert.equal(await shown(page).textContent(), "newest");

	late = await held(page, "**/ui/entry/g/k?*");
	await server.ask("PUT", "v1/g/k", { body: long });
	await late.asked;
	await server.ask("DELETE", "v1/g/k");
	await page.getByText("This key was deleted.").waitFor();
	await late.answer();
	await page.getByText("This key was deleted.").waitFor();
	assert.equal(await shown(page).count(), 0);
});

test("a change while a key is opened is not missed", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	for (const name of ["a", "b"]) await server.ask("PUT", "v1/g/" + name, { body: "old" });
	const page = await open(t, server, { hash: "#/browse?g=g" });
	for (const [name, newer] of [["a", "newer"], ["b", long]]) {
		const late = await held(page, `**/ui/entry/g/${name}?*`);
		await key(page, name).click();
		await late.asked;
		await server.ask("PUT", "v1/g/" + name, { body: newer });
		await key(page, name).locator(".value", { hasText: newer.slice(0, 5) }).waitFor();
		await late.answer();
		await page.locator("#entry .panel pre", { hasText: newer }).waitFor();
		await page.locator("#entry h2", { hasText: name }).waitFor();
	}
});

test("changes while keys are listed are not missed", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/a", { body: "old" });
	await server.ask("PUT", "v1/g/b", { body: "old" });
	let late;
	const page = await open(t, server, { hash: "#/browse?g=g", prepare: async (page) => { late = await held(page, "**/v1/g?*"); } });
	await late.asked;
	await server.ask("PUT", "v1/g/a", { body: "newer" });
	await server.ask("DELETE", "v1/g/b");
	const { revision } = await server.ask("PUT", "v1/g/c", { body: "new" });
	await page.locator("#revision", { hasText: String(revision) }).waitFor();
	await late.answer();
	await key(page, "c").waitFor();
	await key(page, "a").locator(".value", { hasText: "newer" }).waitFor();
	await page.waitForFunction(() => document.querySelectorAll("#keys .row").length === 2);
});

test("groups that changed while the page was hidden are counted once it is seen", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/a", { body: "v" });
	const page = await open(t, server, { clock: true });
	await treeItem(page, "g").locator(".keys", { hasText: "1" }).waitFor();
	const hide = (hidden) => page.evaluate((hidden) => {
		Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
		document.dispatchEvent(new Event("visibilitychange"));
	}, hidden);
	await hide(true);
	const { revision } = await server.ask("PUT", "v1/g/b", { body: "v" });
	await page.locator("#revision", { hasText: String(revision) }).waitFor();
	await page.clock.runFor(5000);
	await treeItem(page, "g").locator(".keys", { hasText: "1" }).waitFor();
	await hide(false);
	await treeItem(page, "g").locator(".keys", { hasText: "2" }).waitFor();
});

test("a stream that is cut within a batch goes on within it", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server, {
		hash: "#/changes", prepare: (page) => page.route("**/v1/watch*", async (route) => {
			await server.ask("PUT", "/batch/a,b,c");
			await route.fulfill({ contentType: "text/event-stream", body: await beginning(server, "v1/watch?since=0", /"key":"a"/) });
		}, { times: 1 }),
	});
	await page.locator("#changes-list li", { hasText: "›a" }).waitFor();
	await page.getByText("live", { exact: true }).waitFor();
	await server.ask("PUT", "v1/g/last", { body: "v" });
	await page.locator("#changes-list li", { hasText: "›last" }).waitFor();
	assert.deepEqual(await page.locator("#changes-list .key").allTextContents(), ["last", "c", "b", "a"]);
});

// beginning is a stream's, as it is sent, up to the first event that has that in it.
async function beginning(server, path, last) {
	const stop = new AbortController();
	const response = await fetch(new URL(path, server.url), { signal: stop.signal });
	let text = "";
	for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
		text += part;
		const end = text.indexOf("\n\n", text.search(last));
		if (last.test(text) && end > 0) {
			text = text.slice(0, end + 2);
			break;
		}
	}
	stop.abort();
	return text;
}

test("a flood of changes does not freeze the page", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server, { hash: "#/changes" });
	const freezes = await watchFreezes(page);
	let n = 0;
	const writer = async () => {
		while (n < 2000) await server.ask("PUT", `v1/g/k${n++ % 100}`, { body: String(n) });
	};
	await Promise.all(Array.from({ length: 16 }, writer));
	await page.waitForFunction(() => document.querySelector("#changes-list .revision")?.textContent === "r" + document.querySelector("#revision").textContent.replaceAll(",", ""));
	await freezes();
	assert.ok(await page.locator("#changes-list li").count() <= 300);
});

test("where nothing is measured the metrics view says why", async (t) => {
	for (const [flags, said] of [[["-metrics=false"], true], [[], false]]) {
		const page = await open(t, await serve(t, ...flags), { hash: "#/metrics" });
		await page.locator("#figures tr").first().waitFor({ state: "attached" });
		assert.equal(await page.getByText("opens the store with api.WithMetrics()").isVisible(), said);
		await accessible(page, "metrics, " + said);
	}
});

test("the metrics view draws what it is told", async (t) => {
	const page = await open(t, await serve(t, "-traffic"), { hash: "#/metrics" });
	const chart = page.getByRole("img", { name: /^Changes a second, the last five minutes: now/ });
	await chart.waitFor();
	await page.waitForFunction(() => document.querySelector(".chart:not([hidden]) path.line")?.getAttribute("d")?.includes("L"));
	await page.locator("#listeners tbody tr").nth(3).waitFor();
	const table = await page.locator("#listeners tbody").textContent();
	assert.match(table, /watcher/);
	assert.match(table, /subscriber/);
	assert.match(table, /shop:orders\/eu/);
	await accessible(page, "metrics");
});
