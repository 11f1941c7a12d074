// What is said elsewhere on the page, or helps nobody: where a member was inherited from, and returns of void.
import { MarkdownPageEvent } from 'typedoc-plugin-markdown';

export function load(app) {
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
