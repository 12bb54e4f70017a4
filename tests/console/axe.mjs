// Looks at pages as a person would who cannot see them: axe, in Chromium. One JSON line for each page and look.
// Arguments: the folder of node_modules, a JSON object {base, cookie, pages: [{name, path}], looks: [...],
// folder (for pictures), broken (adds what axe must refuse), keys (tries the keyboard)}.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, text] = process.argv.slice(2);
const asked = JSON.parse(text);
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// What stands in the page only to be refused: a picture without words, a field without a label, text without contrast.
const BROKEN = '<img src="x.png"><input><p style="color:#ddd;background:#fff">pale</p>';

const LOOKS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", deviceScaleFactor: 2, isMobile: true },
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  if (asked.keys) {
    const context = await browser.newContext();
    await context.addCookies([{ name: "farthing", value: asked.cookie, url: asked.base, httpOnly: true, sameSite: "Lax" }]);
    const page = await context.newPage();
    const said = [];
    page.on("console", (message) => message.type() === "error" && said.push(message.text()));
    const where = () => new URL(page.url()).pathname;
    await page.goto(asked.base + "/console");
    await page.keyboard.press("g");
    await page.keyboard.press("b");
    await page.waitForURL("**/console/bills");
    const bills = where();
    await page.keyboard.press("/");
    const search = await page.evaluate(() => document.activeElement.id);
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/console/bill?**");
    console.log(JSON.stringify({ bills, search, opened: where(), said }));
    await context.close();
  }
  for (const look of asked.looks) {
    // The console's own policy lets no script in that is not its own, axe neither.
    const context = await browser.newContext({ ...LOOKS[look], bypassCSP: true });
    if (asked.cookie) {
      await context.addCookies([{ name: "farthing", value: asked.cookie, url: asked.base, httpOnly: true, sameSite: "Lax" }]);
    }
    const page = await context.newPage();
    const said = [];
    page.on("console", (message) => message.type() === "error" && said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    for (const { name, path } of asked.pages) {
      said.length = 0;
      const answer = await page.goto(asked.base + path);
      await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
      if (asked.broken) await page.evaluate((html) => document.querySelector("main").insertAdjacentHTML("beforeend", html), BROKEN);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (asked.folder) {
        await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = false)));
        await page.screenshot({ path: `${asked.folder}/${name}-${look}.png`, fullPage: true });
      }
      const found = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`);
      console.log(JSON.stringify({ name, look, status: answer.status(), violations: found, wide, said: [...said] }));
    }
    await context.close();
  }
} finally {
  await browser.close();
}
