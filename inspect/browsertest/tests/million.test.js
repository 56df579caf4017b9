import assert from "node:assert/strict";
import { test } from "node:test";
import { browsing, key, open, serve, watchFreezes } from "../harness.js";

browsing();

test("a million keys do not freeze the page", { timeout: 200_000 }, async (t) => {
	const server = await serve(t, "-fill", "million");
	const page = await open(t, server, { hash: "#/browse?g=million" });
	const freezes = await watchFreezes(page);
	const within = async (milliseconds, what, work) => {
		const began = performance.now();
		await work();
		const took = performance.now() - began;
		assert.ok(took < milliseconds, `${what} took ${Math.round(took)} ms`);
	};
	await key(page, "key-0000000").waitFor();
	await page.locator("#keys-count", { hasText: "1,000,000 keys" }).waitFor();
	const keys = page.locator("#keys");
	await keys.focus();

	await within(30_000, "End", async () => {
		await page.keyboard.press("End");
		await key(page, "key-0999999").waitFor();
	});
	await within(30_000, "up from there", async () => {
		for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowUp");
		await page.locator("#entry h2", { hasText: "key-0999979" }).waitFor();
	});
	await within(30_000, "Home", async () => {
		await page.keyboard.press("Home");
		await key(page, "key-0000000").waitFor();
	});
	await within(30_000, "the middle by the scroll bar", async () => {
		await keys.evaluate((node) => { node.scrollTop = node.scrollHeight / 2; });
		await page.waitForFunction(() => [...document.querySelectorAll("#keys .row .key")].some((node) => /^key-0(49|50)/.test(node.textContent)));
	});
	await within(40_000, "a long scroll", async () => {
		for (let i = 0; i < 60; i++) {
			await keys.evaluate((node) => node.scrollBy(0, 1500));
			await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
		}
		await page.waitForFunction(() => document.querySelectorAll("#keys .row.waiting").length === 0);
	});
	await within(30_000, "a prefix", async () => {
		await page.getByLabel("Only keys that begin with").fill("key-07654");
		await page.locator("#keys-count", { hasText: /^100 keys$/ }).waitFor();
		await key(page, "key-0765400").waitFor();
	});
	assert.ok(await page.locator("#keys .row").count() < 120, "rows are drawn that can't be seen");
	t.diagnostic(`the page did not answer for ${await freezes()} ms at most`);
});
