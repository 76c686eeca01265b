/** Access to the page's elements, and the format of its numbers. */

/** @throws {TypeError} if the page has no such element. */
export function element<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new TypeError(`expected an element #${id}, got none`);
  return found as E;
}

export function setText(id: string, text: string): void {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(1)} %`;
}

/** With a true minus sign. */
export function decimal(value: number, digits = 2): string {
  return value.toFixed(digits).replace(/^-(?=[0.]*$)/, '').replace('-', '−');
}

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
