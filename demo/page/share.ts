/** Buttons that share the page's address or copy text. */
import { element } from './dom.js';

const SHOWN = 2_000;

/** @param query - what to append to the page's address */
export function bindShare(query: () => string): void {
  const button = element<HTMLButtonElement>('share');
  button.addEventListener('click', () => {
    const url = new URL(location.href);
    url.search = query();
    url.hash = '';
    // Phones have a menu for it; elsewhere a copied address is what people expect. Closing the menu is not an error.
    if (navigator.share && matchMedia('(pointer: coarse)').matches) navigator.share({ title: document.title, url: url.href }).catch(() => {});
    else void copy(url.href, button, 'Link copied');
  });
}

/** Buttons with `data-copies="ID"` copy the text of an element. */
export function bindCopies(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>('[data-copies]')) {
    button.addEventListener('click', () => void copy(element(button.dataset.copies!).textContent!, button, 'Copied'));
  }
}

/** Says for a moment on the button whether it worked. A page that is not served over TLS has no clipboard. */
async function copy(text: string, button: HTMLButtonElement, done: string): Promise<void> {
  button.dataset.name ??= button.textContent!;
  const { name } = button.dataset;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = done;
  } catch {
    button.textContent = 'Not allowed';
  }
  setTimeout(() => { button.textContent = name; }, SHOWN);
}
