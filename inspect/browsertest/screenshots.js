// Draws the pictures of the documentation: docs/inspector*.png, of a store that is at work;
// those that are named, or all.

import { fileURLToPath } from "node:url";
import { key, launch, serve } from "./harness.js";

const docs = fileURLToPath(new URL("../../docs/", import.meta.url));
const wide = { viewport: { width: 1360, height: 800 }, deviceScaleFactor: 1.5 };
const phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

const server = await serve(null, "-traffic", "-write");
const browser = await launch();

// picture opens the page at a place, has it brought about, and draws it.
async function picture(name, { hash, ...options }, work = async () => {}) {
	if (process.argv.length > 2 && !process.argv.includes(name)) return;
	const context = await browser.newContext({ reducedMotion: "reduce", ...options });
	context.setDefaultTimeout(120_000);
	const page = await context.newPage();
	await page.goto(server.url + hash);
	await page.locator("html[data-feed=live]").waitFor();
	await work(page);
	await page.evaluate(() => document.activeElement.blur());
	await page.screenshot({ path: `${docs}${name}.png` });
	await context.close();
}

const order = async (page) => {
	await page.locator("#keys .row:not(.waiting)").nth(7).click();
	await page.locator("#entry pre.json").waitFor();
};

const flags = async (page) => {
	await key(page, "feature-flags").waitFor();
	await page.getByRole("tab", { name: "History" }).click();
	await page.locator(".diff").waitFor();
};

try {
	await picture("inspector", { ...wide, hash: "#/browse?g=shop:orders%2Feu" }, order);
	await picture("inspector-dark", { ...wide, colorScheme: "dark", hash: "#/browse?g=config&k=feature-flags" }, flags);
	await picture("inspector-phone", { ...phone, hash: "#/browse?g=config&k=feature-flags" }, (page) => page.locator("#entry pre.json").waitFor());
	await picture("inspector-metrics", { ...wide, colorScheme: "dark", hash: "#/metrics" }, (page) => page.waitForTimeout(60_000));
	await picture("inspector-namespaces", { ...wide, viewport: { width: 1360, height: 400 }, hash: "#/namespaces" }, (page) => page.locator(".card").nth(2).waitFor());
} finally {
	await browser.close();
	await server.stop();
}
