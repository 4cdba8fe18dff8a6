// The networks that peers are measured on: "784-128-10", the widths of dense layers, or one of the convolutional ones by name.

/** LeNet-5 (LeCun et al., 1998) with rectifiers and max-pools, and the network of PyTorch's MNIST example. */
const CONVOLUTIONAL = {
  lenet5: ({ conv2d, maxPooling2d, flatten, dense }) => [
    conv2d({ filters: 6, kernelSize: 5, padding: 'same', activation: 'relu' }),
    maxPooling2d({ poolSize: 2 }),
    conv2d({ filters: 16, kernelSize: 5, activation: 'relu' }),
    maxPooling2d({ poolSize: 2 }),
    flatten(),
    dense({ units: 120, activation: 'relu' }),
    dense({ units: 84, activation: 'relu' }),
    dense({ units: 10, activation: 'softmax' }),
  ],
  'mnist-cnn': ({ conv2d, maxPooling2d, dropout, flatten, dense }) => [
    conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }),
    conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
    maxPooling2d({ poolSize: 2 }),
    dropout({ rate: 0.25 }),
    flatten(),
    dense({ units: 128, activation: 'relu' }),
    dropout({ rate: 0.5 }),
    dense({ units: 10, activation: 'softmax' }),
  ],
};

export const isConvolutional = (network) => Object.hasOwn(CONVOLUTIONAL, network);

/** The shape of a sample. */
export const inputShapeOf = (network) => (isConvolutional(network) ? [28, 28, 1] : [widthsOf(network)[0]]);

/** A network's layers, made by the project or by TensorFlow.js: both have Keras's names and options. */
export function layersOf(network, factories) {
  if (isConvolutional(network)) return CONVOLUTIONAL[network](factories);
  const widths = widthsOf(network).slice(1);
  return widths.map((units, index) =>
    factories.dense({ units, activation: index < widths.length - 1 ? 'relu' : 'softmax' }),
  );
}

/** "784-128-10" as [784, 128, 10]. */
function widthsOf(network) {
  const widths = network.split('-').map(Number);
  if (widths.length > 1 && widths.every((width) => Number.isInteger(width) && width > 0)) return widths;
  const names = Object.keys(CONVOLUTIONAL).join(', ');
  throw new Error(`Expected widths such as 784-128-10, or one of ${names}, for --network, received ${network}.`);
}
