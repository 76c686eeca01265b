/** An ONNX model of one BatchNormalization, written as protocol buffers; field numbers are those of onnx.proto. */

const FLOAT = 1, INT = 2;
const OPSET = 15;

/** @returns the model's bytes; inputs `x`, outputs `y` and, in training, the new running statistics */
export function batchNormalization(shape, { weight, bias, mean, variance }, training) {
  const parameters = { weight, bias, mean, variance };
  const outputs = training ? ['y', 'newMean', 'newVariance'] : ['y'];
  const node = [
    ...['x', ...Object.keys(parameters)].map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, 'BatchNormalization'),
    message(5, [text(1, 'epsilon'), float(2, 1e-5), varint(20, FLOAT)]),
    message(5, [text(1, 'training_mode'), varint(3, training ? 1 : 0), varint(20, INT)]),
  ];
  const graph = [
    message(1, node),
    text(2, 'batchnorm'),
    ...Object.entries(parameters).map(([name, values]) => message(5, tensor(name, values))),
    message(11, valueInfo('x', shape)),
    ...outputs.map((name) => message(12, valueInfo(name, name === 'y' ? shape : [weight.length]))),
  ];
  return Buffer.concat([varint(1, 8), message(7, graph), message(8, [text(1, ''), varint(2, OPSET)])]);
}

function tensor(name, values) {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return [varint(1, values.length), varint(2, FLOAT), text(8, name), bytes(9, raw)];
}

function valueInfo(name, shape) {
  const dimensions = shape.map((size) => message(1, [varint(1, size)]));
  const type = [varint(1, FLOAT), message(2, dimensions)];
  return [text(1, name), message(2, [message(1, type)])];
}

function number(value) {
  const digits = [];
  for (; value > 127; value = Math.floor(value / 128)) digits.push((value % 128) + 128);
  return Buffer.from([...digits, value]);
}

const varint = (field, value) => Buffer.concat([number(field * 8), number(value)]);
const bytes = (field, content) => Buffer.concat([number(field * 8 + 2), number(content.length), content]);
const text = (field, value) => bytes(field, Buffer.from(value));
const message = (field, parts) => bytes(field, Buffer.concat(parts));

function float(field, value) {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([number(field * 8 + 5), content]);
}
