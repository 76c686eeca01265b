/**
 * A plugin of TypeDoc for the reference: the topic of an export is that of the folder or file it is declared in, and the kinds of
 * errors stay with what is said of them, in one list.
 */
import { Comment, CommentTag, Converter } from 'typedoc';

/** The first that a path begins with. */
const TOPICS = [
  ['src/tools/fold', 'Folding'], ['src/tools/', 'Statistics'], ['src/passes/statistics', 'Statistics'], ['src/formats/', 'Checkpoints'],
  ['src/runtime/', 'Runtimes and tensors'], ['src/batchnorm/', 'Layers'], ['src/passes/', 'Layers'],
];

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const declaration of project.children.flatMap(({ children }) => children)) {
      const { packagePath } = project.getSymbolIdFromReflection(declaration);
      const topic = TOPICS.find(([path]) => packagePath.startsWith(path))?.[1];
      if (topic === undefined) continue;
      declaration.comment ??= new Comment();
      declaration.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: topic }]));
    }
    for (const { comment } of Object.values(project.reflections)) if (comment) joinErrors(comment);
  });
}

function joinErrors(comment) {
  const errors = comment.getTags('@throws');
  if (errors.length === 0) return;
  const items = errors.flatMap(({ typeAnnotation, content }) => [{ kind: 'text', text: `\n- ${typeAnnotation?.slice(1, -1) ?? ''}: ` }, ...content]);
  comment.removeTags('@throws');
  comment.blockTags.push(new CommentTag('@throws', items));
}
