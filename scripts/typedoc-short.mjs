// What is said elsewhere on the page, or helps nobody: where a member was inherited from, returns of void, and the methods
// of Node that lib/stream-types.ts declares with other types.
import { Converter } from 'typedoc';
import { MarkdownPageEvent } from 'typedoc-plugin-markdown';

const NODES_OWN = /^(?:TypedDuplex|RequestTransform)\./;

export function load(app) {
  app.converter.on(
    Converter.EVENT_RESOLVE_END,
    ({ project }) => {
      const nodesOwn = Object.values(project.reflections)
        .filter(({ inheritedFrom }) => NODES_OWN.test(inheritedFrom?.name ?? ''))
        .map((it) => (it.isSignature() ? it.parent : it));
      for (const it of new Set(nodesOwn)) project.removeReflection(it);
    },
    -50,
  );
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    page.contents = page.contents
      .replace(
        /^#+ (?:Inherited from|Overrides|Implementation of|Type Parameters|Since|See)\n\n(?:(?!#|\*\*\*).*\n)*/gm,
        '',
      )
      .replace(/^#+ Returns\n\n`(?:void|this)`\n\n/gm, '')
      .replace(/\n{3,}/g, '\n\n');
  });
}
