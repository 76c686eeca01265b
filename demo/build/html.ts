/** Escapes text for HTML. A bar within a cell of Markdown is already an entity. */
export function escaped(text: string): string {
  return text.replaceAll(/&(?!#\d+;)/g, '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
