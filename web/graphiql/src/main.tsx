import "./monaco-workers";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./style.css";

import { createLocalStorage } from "@graphiql/toolkit";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { currentEndpoint } from "./endpoint";
import { EXAMPLES_PLUGIN } from "./examples";
import { createFetcher } from "./fetcher";
import { loadSession, storeSession, type Session } from "./session";
import { SignIn } from "./sign-in";

const endpoint = currentEndpoint();
const plugins = [EXAMPLES_PLUGIN, HISTORY_PLUGIN];
// Both endpoints have one origin: each keeps its own tabs and history.
const storage = createLocalStorage({ namespace: `regulars-${endpoint.id}` });
const FIRST_TAB = `# ${endpoint.title}
#
# Examples are on the left. Ctrl-Enter runs the operation, Ctrl-Space completes a word.

query Hello {
  __typename
}
`;

function App() {
  const [session, setSession] = useState(() => loadSession(endpoint));
  // Somebody else gets a new fetcher: GraphiQL then reads the schema again, as this person.
  const { fetcher, dispose } = useMemo(
    () => createFetcher(endpoint, session?.accessToken),
    [session?.accessToken],
  );
  useEffect(() => dispose, [dispose]);

  function change(next: Session | null) {
    storeSession(endpoint, next);
    setSession(next);
  }

  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      plugins={plugins}
      visiblePlugin={EXAMPLES_PLUGIN}
      defaultQuery={FIRST_TAB}
      defaultEditorToolsVisibility
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <SignIn endpoint={endpoint} session={session} onChange={change} />
      </GraphiQL.Logo>
    </GraphiQL>
  );
}

document.title = endpoint.title;
createRoot(document.getElementById("root")!).render(<App />);
