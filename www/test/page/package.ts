// Sessions of the package beside the page: what the page shows is compared with what they compute.

import type { Page } from "playwright-core";
import type { Catalog, SessionConfig } from "unroll-types";
import { fromHash, sessionConfig } from "../../src/settings";

const packageUrl = (): string => {
  const url = process.env["UNROLL_PACKAGE_URL"];
  if (url === undefined) throw new Error("set UNROLL_PACKAGE_URL to the address of the built package");
  return `${url}unroll.js`;
};

/** What the package is asked for by a lane of the page at this address. */
export async function configOf(page: Page, lane: number): Promise<SessionConfig> {
  const catalog = await page.evaluate(async (url): Promise<Catalog> => {
    const unroll = (await import(url)) as typeof import("../../../pkg/unroll.js");
    await unroll.default();
    return unroll.catalog();
  }, packageUrl());
  const { values } = fromHash(catalog, new URL(page.url()).hash);
  return sessionConfig(catalog, values, lane);
}

/** The report of the first training step of a session of its own. */
export function firstStep(
  page: Page,
  config: SessionConfig,
): Promise<{ loss: number; accuracy: number; norm: number; coefficient: number }> {
  return page.evaluate(
    async ({ url, config }) => {
      const unroll = (await import(url)) as typeof import("../../../pkg/unroll.js");
      await unroll.default();
      const session = await unroll.Session.create({ ...config, backend: "cpu" });
      const { loss, accuracy, gradientNorm, clipCoefficient } = await session.advance(1);
      session.free();
      return { loss, accuracy, norm: gradientNorm, coefficient: clipCoefficient };
    },
    { url: packageUrl(), config },
  );
}

/** The median of the first row's first ribbon, in a session of its own. */
export function freshRibbon(page: Page, config: SessionConfig): Promise<number[]> {
  return page.evaluate(
    async ({ url, config }) => {
      const unroll = (await import(url)) as typeof import("../../../pkg/unroll.js");
      await unroll.default();
      const session = await unroll.Session.create({ ...config, backend: "cpu" });
      const { header, data } = await session.frame();
      session.free();
      return [...new Float32Array(data, 4 * (header.rows[0]?.ribbons[0]?.offset ?? 0), header.nSteps)];
    },
    { url: packageUrl(), config },
  );
}
