import { parse, separateOperations, Kind, type OperationDefinitionNode, type Token } from "graphql";

/** One operation of an examples file, ready to open in a tab. */
export interface Example {
  name: string;
  title: string;
  explanation: string;
  query: string;
  variables: string;
}

const VARIABLES = "variables:";

/**
 * Reads an examples file: GraphQL with many named operations. The comment directly above an
 * operation is `# Title — explanation`, which may go on over more lines, and after it perhaps
 * `# variables: {…}` on one line. A fragment may stand anywhere and comes along when it is used.
 */
export function readExamples(source: string): Example[] {
  const document = parse(source);
  const perOperation = separateOperations(document);
  return document.definitions
    .filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    .map((operation) => {
      const name = operation.name?.value ?? "";
      const comment = commentAbove(operation);
      const text = comment.filter((line) => !line.startsWith(VARIABLES)).join(" ");
      const [title = "", ...explanation] = text.split(" — ");
      const variables = comment.find((line) => line.startsWith(VARIABLES));
      const definitions = perOperation[name]?.definitions ?? [operation];
      return {
        name,
        title: title || name,
        explanation: explanation.join(" — "),
        query: definitions
          .map(({ loc }) => source.slice(loc?.start, loc?.end))
          .join("\n\n"),
        variables: variables === undefined ? "" : readVariables(variables, name),
      };
    });
}

/** The lines of the comment that touches the operation, without their `#`. */
function commentAbove({ loc }: OperationDefinitionNode): string[] {
  const lines: string[] = [];
  let below = loc?.startToken;
  while (below?.prev?.kind === "Comment" && below.prev.line === below.line - 1) {
    below = below.prev as Token;
    lines.unshift(below.value.trim());
  }
  return lines;
}

function readVariables(line: string, operation: string): string {
  try {
    return JSON.stringify(JSON.parse(line.slice(VARIABLES.length)), null, 2);
  } catch (error) {
    throw new Error(`The variables of ${operation} are not JSON: ${(error as Error).message}`);
  }
}

/** Text to put in the place of every `"$random"`, so that a request key is never used twice. */
export function withRandom(variables: string): string {
  return variables.replaceAll('"$random"', () => {
    // `crypto.randomUUID` exists only on HTTPS and localhost; test servers are often neither.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return JSON.stringify(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""));
  });
}
