/** Range inputs with a visible value. */
import { element } from './dom.js';

/** Binds a slider that steps through values; shows the value in its output and tells it to screen readers. */
export function bindSlider(
  id: string, values: readonly number[], onInput: (value: number) => void, format: (value: number) => string = String,
): (value: number) => void {
  const input = element<HTMLInputElement>(id), output = element(`${id}-value`);
  input.max = String(values.length - 1);
  const show = () => {
    const text = format(values[input.valueAsNumber]!);
    output.textContent = text;
    input.setAttribute('aria-valuetext', text);
  };
  input.addEventListener('input', () => {
    show();
    onInput(values[input.valueAsNumber]!);
  });
  show();
  return (value) => {
    input.value = String(values.indexOf(value));
    show();
  };
}
