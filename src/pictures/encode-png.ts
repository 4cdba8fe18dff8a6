import { encode } from 'fast-png';
import type { RgbPicture } from './picture.js';

/** A picture as the bytes of a PNG file. */
export function encodePng({ width, height, pixels }: RgbPicture): Uint8Array {
  return encode({ width, height, data: pixels, channels: 3, depth: 8 });
}

/** For a page that needs no other file. */
export function pngDataUri(picture: RgbPicture): string {
  return `data:image/png;base64,${Buffer.from(encodePng(picture)).toString('base64')}`;
}
