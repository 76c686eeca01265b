/** The formats of the page's numbers. */

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(1)}\u00a0%`;
}

/** With a true minus sign. */
export function decimal(value: number, digits = 2): string {
  return value.toFixed(digits).replace(/^-(?=[0.]*$)/, '').replace('-', '−');
}

/** Two digits, or all digits before the point. */
export function short(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/** One digit times a power of ten, such as 7·10⁻⁷ or 10⁻⁸; plain from 0.001 to 9. */
export function powerOfTen(value: number): string {
  if (value === 0) return '0';
  const [digit, exponent] = value.toExponential(0).split('e');
  if (Number(exponent) >= -3 && Number(exponent) <= 0) return String(Number(value.toPrecision(1)));
  const raised = Array.from(String(Math.abs(Number(exponent))), (figure) => SUPERSCRIPTS[Number(figure)]!).join('');
  return `${digit === '1' ? '' : `${digit}·`}10${Number(exponent) < 0 ? '⁻' : ''}${raised}`;
}
