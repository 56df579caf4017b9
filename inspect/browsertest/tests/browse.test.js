import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, key, open, serve, shown, treeItem } from "../harness.js";

browsing();

test("groups are a tree, keys a list, a value what it is", async (t) => {
	const page = await open(t, await serve(t));
	await treeItem(page, "shop:").click();
	await treeItem(page, "shop:orders/").click();
	await page.getByRole("treeitem", { name: /^shop: ?, ?9,400 keys ?, ?~1\.\d MiB$/ }).waitFor();
	await treeItem(page, "shop:orders/eu").click();
	await page.locator("#keys .row").nth(5).waitFor();
	assert.match(await page.locator("#keys-count").textContent(), /^[\d,]+ keys$|^about [\d,]+ keys$/);
	await page.locator("#keys .row").first().click();
	assert.match(await shown(page).textContent(), /^\{\n {2}"id": "2026-\d+",\n/);
	await page.getByRole("button", { name: "Hex" }).click();
	assert.match(await shown(page).textContent(), /^00000000 {2}7b 22 69 64/);
	await page.getByRole("button", { name: "Text" }).click();
	assert.match(await shown(page).textContent(), /^\{"id":"2026-/);
	assert.match(page.url(), /#\/browse\?g=shop%3Aorders%2Feu&k=2026-/);
});

test("a link leads to a key, and back is back", async (t) => {
	const server = await serve(t);
	const page = await open(t, server, { hash: "#/browse?g=config&k=banner.txt" });
	assert.equal(await shown(page).textContent(), "Summer sale:\n20 % off all lamps.\n\nUntil Sunday.");
	await key(page, "theme").click();
	await page.locator("#entry h2", { hasText: "theme" }).waitFor();
	await page.goBack();
	await page.locator("#entry h2", { hasText: "banner.txt" }).waitFor();
});

test("filters and the search go by what names begin with", async (t) => {
	const page = await open(t, await serve(t));
	await page.getByLabel("Only groups that begin with").fill("shop:or");
	await treeItem(page, "shop:orders/").waitFor();
	assert.equal(await page.getByRole("treeitem", { name: /^billing/ }).count(), 0);
	await page.getByLabel("Only groups that begin with").fill("nothing");
	await page.getByText("No group begins with that.").waitFor();
	await page.getByLabel("Only groups that begin with").fill("");
	await treeItem(page, "config").click();
	await page.getByLabel("Only keys that begin with").fill("fe");
	await page.locator("#keys-count", { hasText: /^1 key$/ }).waitFor();
	assert.equal(await page.locator("#keys .row .key").textContent(), "feature-flags");
	await page.keyboard.press("Escape");
	await page.keyboard.press("/");
	await page.keyboard.type("INV-0001");
	await page.getByRole("option", { name: /INV-00010/ }).waitFor();
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("Enter");
	await page.locator("#entry h2", { hasText: /^INV-0001/ }).waitFor();
});

test("a key's history shows what each change made of it", async (t) => {
	const page = await open(t, await serve(t), { hash: "#/browse?g=config&k=feature-flags" });
	await page.getByRole("tab", { name: "History" }).click();
	await page.locator(".change").nth(3).waitFor();
	assert.equal(await page.locator(".change").count(), 4);
	const diff = page.locator(".change").first().locator(".diff");
	assert.match(await diff.textContent(), /− {5}"rollout": 0\.25\n\+ {5}"rollout": 0\.5\n/);
	assert.equal(await diff.locator("mark").first().textContent(), "2");
	await page.locator(".change").nth(3).locator("summary").click();
	await page.getByText("The first that the log has of it:").waitFor();
	await accessible(page, "history");
});

test("expiries tick, and what expires goes", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/sessions/long?ttl=2h", { body: "v" });
	await server.ask("PUT", "v1/sessions/short?ttl=10m", { body: "v" });
	const page = await open(t, server, { hash: "#/browse?g=sessions&k=short" });
	await page.locator(".expiry", { hasText: /^in \d+m( \d+s)?$/ }).waitFor();
	const before = await page.locator(".expiry").textContent();
	await page.waitForFunction((text) => document.querySelector(".expiry")?.textContent !== text, before);
	await server.ask("PATCH", "v1/sessions/short?ttl=1");
	await page.getByText("This key has expired.").waitFor();
	await key(page, "long").waitFor();
	assert.match(await key(page, "long").locator(".ttl").textContent(), /^1h 5\dm$/);
	await page.waitForFunction(() => document.querySelectorAll("#keys .row").length === 1);
});

test("an empty store says so", async (t) => {
	const page = await open(t, await serve(t, "-fill", "empty"));
	await page.getByText("No groups yet.").waitFor();
	await accessible(page, "empty");
});

test("of a handler of one namespace the page shows what it tells", async (t) => {
	const asked = [];
	const page = await open(t, await serve(t, "-namespace", "shop"), {
		hash: "#/metrics", clock: true, prepare: (page) => page.on("request", (request) => asked.push(request.url())),
	});
	await treeItem(page, "orders/").waitFor();
	await page.clock.runFor(5000);
	assert.deepEqual(asked.filter((url) => /ui\/(metrics|listeners)/.test(url)), []);
	assert.equal(await page.getByRole("link", { name: "Metrics" }).count(), 0);
	await treeItem(page, "orders/").click();
	await treeItem(page, "orders/eu").click();
	await page.locator("#keys .row").first().click();
	await page.getByRole("tab", { name: "History" }).click();
	await page.getByText("That is all that the log holds.", { exact: true }).waitFor();
	await page.getByRole("link", { name: "Namespaces" }).click();
	await page.locator(".card").getByRole("button", { name: "shop" }).click();
	await treeItem(page, "carts/").waitFor();
	await accessible(page, "namespace");
});

test("namespaces stand beside their quotas", async (t) => {
	const page = await open(t, await serve(t), { hash: "#/namespaces" });
	const card = (name) => page.locator(".card", { has: page.getByRole("button", { name }) });
	await card("mobile").waitFor();
	assert.match(await card("mobile").textContent(), /Keys400 of 400 · none left/);
	assert.equal(await card("mobile").locator(".meter.full").count(), 1);
	assert.match(await card("billing").textContent(), /2,210 of 2,500 · 290 left/);
	assert.equal(await card("billing").locator(".meter.near").count(), 2 - 1);
	await accessible(page, "namespaces");
	await card("billing").getByRole("button").click();
	await treeItem(page, "billing:invoices/").waitFor();
});
