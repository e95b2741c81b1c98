// Links to the page as it stands, for others: with parts hidden, for a slide, in an iframe. Knows settings, no elements.

import type { Catalog } from "unroll-types";
import { HIDEABLE, toHash, type Values } from "../settings";

/** Where the page lies. */
export type Place = Pick<Location, "origin" | "pathname" | "search">;

/** What the link adds to the present settings. */
export interface LinkWish {
  /** The value of `hide`. */
  hide: string;
  embed: boolean;
}

/** Sizes of a frame that a slide has room for, in CSS pixels. */
export const FRAMES = [
  { width: 960, height: 540 },
  { width: 640, height: 360 },
] as const;

/** The address of the page with these settings. */
export function linkOf(catalog: Catalog, values: Values, place: Place, wish: LinkWish): string {
  return `${place.origin}${place.pathname}${place.search}${toHash(catalog, { ...values, ...wish })}`;
}

/** The value of `hide` for a set of parts, in the order of the list. */
export function hideOf(parts: ReadonlySet<string>): string {
  return HIDEABLE.map(({ id }) => id)
    .filter((id) => parts.has(id))
    .join(",");
}

/** HTML that shows a link in a frame. */
export function iframeOf(link: string, { width, height }: { width: number; height: number }): string {
  const src = link.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return `<iframe src="${src}" width="${width}" height="${height}" style="border: 0" title="Unroll: a recurrent network that trains"></iframe>`;
}
