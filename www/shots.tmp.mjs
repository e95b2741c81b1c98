import { chromium } from "playwright-core";
const [, , url, ...which] = process.argv;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const kinds = {
  light: { viewport: { width: 1440, height: 900 } },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  phonedark: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "dark", deviceScaleFactor: 2 },
};
const hash = process.env.HASH ?? "#v=1&pause-at-goal=off&panels=factors,spectrum,pipe,ledger,credit,poke";
for (const kind of which) {
  const ctx = await browser.newContext(kinds[kind]);
  const page = await ctx.newPage();
  page.on("pageerror", (e) => console.log("ERROR", e.message));
  page.on("console", (m) => m.type() === "error" && console.log("CONSOLE", m.text()));
  await page.goto(url + hash);
  await page.waitForFunction(() => window.unroll?.frame(0) != null, undefined, { timeout: 60000 });
  if (process.env.RUN !== "0") {
    await page.getByRole("button", { name: "Run" }).click();
    await page.waitForFunction(() => (window.unroll?.steps()[0] ?? 0) > 400, undefined, { timeout: 120000 });
    await page.waitForTimeout(3000);
  }
  if (process.env.PIN) { await page.locator(".ribbon canvas").first().click({ position: { x: Number(process.env.PIN), y: 30 } }); await page.waitForTimeout(1500); }
  for (const id of (process.env.IDS ?? "history").split(",")) {
    const el = page.locator(`[data-panel=${id}]`);
    if ((await el.count()) === 0) continue;
    await el.scrollIntoViewIfNeeded();
    await el.screenshot({ path: `/tmp/ishots/${kind}-${id}.png` });
  }
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.screenshot({ path: `/tmp/ishots/${kind}-page.png`, fullPage: process.env.FULL === "1" });
  console.log(kind, await page.evaluate(() => window.unroll.steps()));
  await ctx.close();
}
await browser.close();
