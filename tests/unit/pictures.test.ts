import { describe, expect, it } from 'vitest';
import { renderSigned } from '../../src/cli/ui/image.js';
import { decodePng } from '../../src/data/png.js';
import { encodePng, pngDataUri } from '../../src/pictures/encode-png.js';
import { enlarge, greyPicture, sheetOf, signedColor, signedPicture } from '../../src/pictures/picture.js';

describe('pictures', () => {
  it('show brightness as grey, and cut off what is beyond black and white', () => {
    expect([...greyPicture([-1, 0, 127.4, 300], 2, 2).pixels]).toEqual([
      0, 0, 0, 0, 0, 0, 127, 127, 127, 255, 255, 255,
    ]);
    expect(() => greyPicture([1, 2, 3], 2, 2)).toThrow('Expected 4 numbers for a picture of 2x2, received 3');
  });

  it('show signs as colours, the greatest number in full', () => {
    expect(signedColor(2, 2)).toEqual([255, 159, 64]);
    expect(signedColor(-5, 2)).toEqual([74, 163, 255]);
    expect(signedColor(0, 2)).toEqual([22, 23, 28]);
    const { pixels } = signedPicture([0, 4, -4, -2], 2, 2);
    expect([...pixels.subarray(0, 9)]).toEqual([22, 23, 28, 255, 159, 64, 74, 163, 255]);
    expect([...pixels.subarray(9)]).toEqual([48, 93, 142]);
    // Nothing but zeros has no greatest number.
    expect([...signedPicture([0], 1, 1).pixels]).toEqual([22, 23, 28]);
  });

  it('become large squares', () => {
    expect(enlarge(greyPicture([1, 2], 2, 1), 2)).toEqual(greyPicture([1, 1, 2, 2, 1, 1, 2, 2], 4, 2));
  });

  it('stand on a sheet in rows with lines between', () => {
    const pictures = [10, 20, 30].map((value) => greyPicture([value], 1, 1));
    const sheet = sheetOf(pictures);
    expect([sheet.width, sheet.height]).toEqual([5, 5]);
    const red = [...sheet.pixels].filter((_, index) => index % 3 === 0);
    expect(red.filter((value) => value !== 128)).toEqual([10, 20, 30]);
    expect([red[6], red[8], red[16]]).toEqual([10, 20, 30]);
    expect(sheetOf(pictures, 3)).toMatchObject({ width: 7, height: 3 });
    expect(() => sheetOf([])).toThrow('Expected at least one for pictures of a sheet');
    expect(() => sheetOf([...pictures, greyPicture([1, 2], 2, 1)])).toThrow('Expected 1x1 for a picture');
  });

  it('are PNG files that come back', () => {
    const picture = greyPicture([0, 100, 200, 255], 2, 2);
    const { luminance, width, height } = decodePng(encodePng(picture), 'a picture');
    expect({ width, height, luminance: [...luminance] }).toEqual({
      width: 2,
      height: 2,
      luminance: [0, 100, 200, 255],
    });
    expect(pngDataUri(picture)).toBe(`data:image/png;base64,${Buffer.from(encodePng(picture)).toString('base64')}`);
  });
});

describe('signed numbers on a terminal', () => {
  it('are signs and a ramp without colour', () => {
    expect(renderSigned([1, -1, 0, 0.15, -0.5, 0.05], 3, 2)).toEqual(['+@-@  ', '+.-+  ']);
    expect(renderSigned([1, -1], 2, 1, 'none', 2)).toEqual(['++-+']);
    expect(renderSigned([0, 0], 2, 1)).toEqual(['    ']);
  });

  it('are the colours of pictures', () => {
    expect(renderSigned([1, -1], 1, 2, 'truecolor')).toEqual(['\x1b[38;2;255;159;64;48;2;74;163;255m▀\x1b[0m']);
    expect(renderSigned([1, 0], 1, 2, '256')).toEqual(['\x1b[38;5;215;48;5;234m▀\x1b[0m']);
    expect(renderSigned([1], 1, 1, '256')).toEqual(['\x1b[38;5;215;49m▀\x1b[0m']);
  });
});
