import { Button, ChevronDownIcon, DropdownMenu } from "@graphiql/react";
import { useEffect, useState, type FormEvent } from "react";
import type { Endpoint } from "./endpoint";
import { fetchPeople, type Person, type Session } from "./session";

interface SignInProps {
  endpoint: Endpoint;
  session: Session | null;
  onChange: (session: Session | null) => void;
}

/** Who is signed in and how to change it: one click in the sandbox, a pasted token anywhere. */
export function SignIn({ endpoint, session, onChange }: SignInProps) {
  const [people, setPeople] = useState<Person[] | null>(null);
  const [failure, setFailure] = useState("");
  const [isBusy, setIsBusy] = useState(false);

  useEffect(() => {
    fetchPeople(endpoint).then(setPeople, (error: Error) => setFailure(error.message));
  }, [endpoint]);

  async function signInAs(person: Person) {
    setFailure("");
    setIsBusy(true);
    try {
      onChange({ name: person.name, accessToken: await person.signIn() });
    } catch (error) {
      setFailure(`${person.name}: ${(error as Error).message}`);
    } finally {
      setIsBusy(false);
    }
  }

  return (
    <div className="regulars-sign-in">
      {failure && <span role="alert">{failure}</span>}
      <span role="status">
        {isBusy ? "Signing in…" : session ? `Signed in as ${session.name}` : "Not signed in"}
      </span>
      {people && (
        <DropdownMenu>
          <DropdownMenu.Button type="button" className="graphiql-button">
            Sign in as… <ChevronDownIcon aria-hidden="true" />
          </DropdownMenu.Button>
          <DropdownMenu.Content align="end" className="regulars-people">
            {people.map((person) => (
              <DropdownMenu.Item key={person.key} onSelect={() => void signInAs(person)}>
                {person.name} <small>{person.role}</small>
              </DropdownMenu.Item>
            ))}
          </DropdownMenu.Content>
        </DropdownMenu>
      )}
      {session ? (
        <Button type="button" onClick={() => onChange(null)}>
          Sign out
        </Button>
      ) : (
        <TokenForm onToken={(accessToken) => onChange({ name: "pasted token", accessToken })} />
      )}
    </div>
  );
}

function TokenForm({ onToken }: { onToken: (token: string) => void }) {
  const [token, setToken] = useState("");

  function submit(event: FormEvent) {
    event.preventDefault();
    // People paste the whole header as often as the token alone.
    const bare = token.trim().replace(/^(authorization:\s*)?bearer\s+/i, "");
    if (bare) onToken(bare);
  }

  return (
    <form onSubmit={submit}>
      <label>
        Token{" "}
        <input
          className="regulars-input"
          type="password"
          autoComplete="off"
          placeholder="paste, then Enter"
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
      </label>
    </form>
  );
}
