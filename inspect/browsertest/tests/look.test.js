import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, key, open, serve, shown, treeItem } from "../harness.js";

browsing();

const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

test("a phone shows one pane at a time, and nothing beside the screen", async (t) => {
	const page = await open(t, await serve(t, "-write"), { ...phone, ready: false });
	const fits = async (what) => {
		assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), what);
		await accessible(page, `phone, ${what}`);
	};
	await treeItem(page, "config").waitFor();
	await fits("groups");
	await treeItem(page, "config").tap();
	await key(page, "banner.txt").waitFor();
	await fits("keys");
	await key(page, "banner.txt").tap();
	await shown(page).waitFor();
	assert.ok(await page.locator("#entry").isVisible());
	assert.ok(!await page.locator("#treepane").isVisible());
	await fits("value");
	await page.getByRole("button", { name: "Back to the keys" }).tap();
	await key(page, "banner.txt").waitFor();
	await page.getByRole("button", { name: "Back to the groups" }).tap();
	await treeItem(page, "config").waitFor();
	for (const view of ["Changes", "Namespaces", "Metrics"]) {
		await page.getByRole("link", { name: view }).tap();
		await page.getByRole("heading", { name: view, exact: true }).waitFor();
		await fits(view);
	}
});

test("dark follows the system, and can be chosen", async (t) => {
	const server = await serve(t);
	const page = await open(t, server, { colorScheme: "dark", hash: "#/browse?g=config&k=feature-flags" });
	const brightness = () => page.evaluate(() => {
		const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
		return (r + g + b) / 3;
	});
	assert.ok(await brightness() < 60);
	await shown(page).waitFor();
	await accessible(page, "dark");
	await page.keyboard.press("d");
	assert.ok(await brightness() > 200, "light was chosen");
	await page.reload();
	await shown(page).waitFor();
	assert.ok(await brightness() > 200, "and is kept");
	await accessible(page, "light");
	await page.keyboard.press("d");
	assert.ok(await brightness() < 60);
});

test("everything is done by the keyboard", async (t) => {
	const server = await serve(t, "-write");
	const page = await open(t, server);
	const press = async (...names) => { for (const name of names) await page.keyboard.press(name); };
	await page.locator("#tree [role=treeitem]:focus").waitFor();
	await press("Home");
	assert.equal(await page.locator(":focus").getAttribute("role"), "treeitem");
	await press("ArrowRight");
	await treeItem(page, "billing:invoices/").waitFor();
	await press("ArrowRight", "ArrowRight");
	await treeItem(page, "billing:invoices/2026-01").waitFor();
	await press("ArrowRight", "Enter");
	await page.locator("#keys:focus").waitFor();
	await page.locator("#keys .row:not(.waiting)").first().waitFor();
	await press("ArrowDown", "ArrowDown");
	const second = await page.locator("#keys .row[aria-selected=true] .key").textContent();
	await page.locator("#entry h2", { hasText: second }).waitFor();
	assert.equal(await page.locator("#keys").getAttribute("aria-activedescendant"), "key-1");
	await press("Enter");
	await page.locator("#entry h2:focus").waitFor();
	await press("v");
	await page.getByRole("button", { name: "Text", pressed: true }).waitFor();
	await press("h");
	await page.getByRole("tab", { name: "History", selected: true }).waitFor();
	await press("h", "e");
	await page.getByLabel("The value", { exact: true }).fill("by keyboard");
	await press("Control+Enter");
	await page.locator("#entry .panel pre", { hasText: "by keyboard" }).waitFor();
	await press("Delete");
	await page.getByRole("dialog", { name: "Delete this key?" }).waitFor();
	await press("Escape", "Escape");
	await page.locator("#keys:focus").waitFor();
	await press("ArrowLeft");
	await page.locator("[role=treeitem]:focus").waitFor();
	await press("?");
	await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
	await accessible(page, "help");
	await press("Escape", "2");
	await page.getByRole("heading", { name: "Changes" }).waitFor();
	await press("1", "f");
	assert.equal(await page.locator(":focus").getAttribute("id"), "keys-prefix");
});

test("focus is seen wherever it goes", async (t) => {
	const page = await open(t, await serve(t, "-write"), { hash: "#/browse?g=config&k=theme" });
	await shown(page).waitFor();
	await page.locator("body").press("Tab");
	const seen = new Set();
	for (let i = 0; i < 30; i++) {
		await page.keyboard.press("Tab");
		const [name, outlined] = await page.evaluate(() => {
			const node = document.activeElement;
			const outline = (of) => getComputedStyle(of).outlineStyle !== "none" && parseFloat(getComputedStyle(of).outlineWidth) > 0;
			return [node.id || node.className || node.textContent.trim().slice(0, 20) || node.tagName, node === document.body || outline(node) || [...node.children].some(outline)];
		});
		seen.add(name);
		assert.ok(outlined, `no focus is seen on ${name}`);
	}
	assert.ok(seen.size > 10, [...seen].join(", "));
});
