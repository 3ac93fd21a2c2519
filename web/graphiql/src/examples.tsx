import { useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { useEffect, useState } from "react";
import { currentEndpoint } from "./endpoint";
import { readExamples, withRandom, type Example } from "./examples-file";

async function fetchExamples(): Promise<Example[]> {
  const url = `${import.meta.env.BASE_URL}examples/${currentEndpoint().id}.graphql`;
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  return readExamples(await response.text());
}

function ExamplesPanel() {
  const [examples, setExamples] = useState<Example[]>([]);
  const [failure, setFailure] = useState("");
  const [filter, setFilter] = useState("");
  const { addTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);

  useEffect(() => {
    fetchExamples().then(setExamples, (error: Error) => setFailure(error.message));
  }, []);

  function open(example: Example) {
    addTab();
    queryEditor?.setValue(`${example.query}\n`);
    variableEditor?.setValue(withRandom(example.variables));
    queryEditor?.focus();
  }

  const words = filter.toLowerCase().split(/\s+/);
  const shown = examples.filter(({ name, title, explanation }) => {
    const text = `${name} ${title} ${explanation}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <section aria-labelledby="examples-heading">
      <h2 id="examples-heading" className="graphiql-history-header regulars-heading">
        Examples
      </h2>
      <input
        className="regulars-input regulars-filter"
        type="search"
        aria-label="Filter examples"
        placeholder="Filter"
        value={filter}
        onChange={(event) => setFilter(event.target.value)}
      />
      {failure && <p role="alert">{failure}</p>}
      <ul className="regulars-examples">
        {shown.map((example) => (
          <li key={example.name}>
            <button
              type="button"
              className="graphiql-un-styled"
              disabled={!queryEditor}
              onClick={() => open(example)}
            >
              <strong>{example.title}</strong>
              {example.explanation && <span>{example.explanation}</span>}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ExamplesIcon() {
  return (
    <svg viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path d="M4 2.75h8.5L16 6.25v11H4z M12 3v4h4 M7 10h6 M7 13.5h6" strokeLinejoin="round" />
    </svg>
  );
}

export const EXAMPLES_PLUGIN: GraphiQLPlugin = {
  title: "Examples",
  icon: ExamplesIcon,
  content: ExamplesPanel,
};
