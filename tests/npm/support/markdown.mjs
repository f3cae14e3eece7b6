// Fenced code blocks of a Markdown document.

/** Returns the code blocks of `text`: language, code, and the heading above. */
export function codeBlocks(text) {
  const blocks = [];
  let heading = '';
  let block;
  for (const line of text.split('\n')) {
    const fence = /^```(\w*)$/.exec(line);
    if (fence && block) {
      blocks.push({ ...block, code: block.lines.join('\n') });
      block = undefined;
    } else if (fence) {
      block = { language: fence[1], heading, lines: [] };
    } else if (block) {
      block.lines.push(line);
    } else if (line.startsWith('#')) {
      heading = line.replace(/^#+ /, '');
    }
  }
  return blocks;
}
