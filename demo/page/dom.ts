/** Access to the page's elements. */

/** @throws {TypeError} if the page has no such element. */
export function element<E extends Element = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new TypeError(`expected an element #${id}, got none`);
  return found as unknown as E;
}

export function setText(id: string, text: string): void {
  showText(element(id), text);
}

/** Leaves the document alone if the text is the same. */
export function showText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A new element of HTML with a class and children. */
export function make(tag: string, className: string, ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A new element of SVG. */
export function makeSvg(tag: string, attributes: Record<string, string | number>, ...children: Node[]): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

export function setAttributes(target: Element, attributes: Record<string, string | number>): void {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, String(value));
}
