import { sideBySide, type WeightPictures } from '../model/inspect/weight-pictures.js';
import { enlarge, type RgbPicture, sheetOf, signedPicture } from '../pictures/picture.js';

/** More would make a file of hundreds of megabytes. */
const MOST_PICTURES = 1024;
/** Pixels that a picture is wide at least, so that people see the weights of a 3 x 3 window. */
const LEAST_WIDTH = 84;

export interface WeightSheet {
  picture: RgbPicture;
  /** Pictures on it, from the first, row by row, and in a row. */
  shown: number;
  across: number;
}

/** All pictures of a layer's weights on one sheet, on one scale: `most` gets the full colour. */
export function weightSheet(pictures: WeightPictures, most: number, limit = MOST_PICTURES): WeightSheet {
  const images = pictures.images.slice(0, limit);
  const drawn = images.map((image) => {
    const { values, width, height } = sideBySide(image, pictures);
    return enlarge(signedPicture(values, width, height, most), Math.max(1, Math.ceil(LEAST_WIDTH / width)));
  });
  const across = Math.ceil(Math.sqrt(drawn.length));
  return { picture: sheetOf(drawn, across), shown: drawn.length, across };
}
