import { applyEdits, format } from "jsonc-parser";

/** Indents JSON with comments; takes the place of GraphiQL's function of the same name. */
export async function formatJSONC(content: string): Promise<string> {
  const options = { tabSize: 2, insertSpaces: true, insertFinalNewline: true };
  return applyEdits(content, format(content, undefined, options));
}
