import type { Endpoint } from "./endpoint";
import { signInMember, signInPartner, signInStaff } from "./sign-in-requests";

/** Who is signed in, as this tab of the browser knows it. */
export interface Session {
  name: string;
  accessToken: string;
}

/** Somebody whom the sandbox offers to sign in as. */
export interface Person {
  key: string;
  name: string;
  role: string;
  signIn: () => Promise<string>;
}

export interface SandboxMember {
  name: string;
  phone: string;
  wechat: { appId: string; openid: string; jsCode: string };
}

export interface SandboxStaff {
  name: string;
  role: string;
  email: string;
  password: string;
  totpCode: string;
}

export interface SandboxPartner {
  name: string;
  clientId: string;
  clientSecret: string;
  scopes: string[];
}

interface SandboxPeople {
  members: SandboxMember[];
  staff: SandboxStaff[];
  partners: SandboxPartner[];
}

/** The people of the sandbox; `null` where there is no sandbox, as in production. */
async function fetchSandbox(): Promise<SandboxPeople | null> {
  const response = await fetch("/sandbox/people", {
    headers: { accept: "application/json" },
    cache: "no-store",
  });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`/sandbox/people answered ${response.status}.`);
  return response.json();
}

/** Codes work once or for half a minute: they are fetched when somebody signs in, not before. */
async function fresh<T>(pick: (people: SandboxPeople) => T | undefined): Promise<T> {
  const people = await fetchSandbox();
  const person = people === null ? undefined : pick(people);
  if (person === undefined) throw new Error("The sandbox no longer has this person.");
  return person;
}

/** Whom one can sign in as at this endpoint; `null` where there is no sandbox. */
export async function fetchPeople(endpoint: Endpoint): Promise<Person[] | null> {
  const people = await fetchSandbox();
  if (people === null) return null;
  if (endpoint.id === "member") {
    return people.members.map(({ name, wechat: { appId, openid } }) => ({
      key: `${appId}/${openid}`,
      name,
      role: "member",
      signIn: async () =>
        signInMember(
          endpoint,
          await fresh(({ members }) =>
            members.find(({ wechat }) => wechat.appId === appId && wechat.openid === openid),
          ),
        ),
    }));
  }
  const staff = people.staff.map(({ email, name, role }) => ({
    key: email,
    name,
    role,
    signIn: async () =>
      signInStaff(endpoint, await fresh((now) => now.staff.find((one) => one.email === email))),
  }));
  const partners = people.partners.map((partner) => ({
    key: partner.clientId,
    name: partner.name,
    role: "partner",
    signIn: () => signInPartner(partner),
  }));
  return [...staff, ...partners];
}

// A token lives as long as the tab: a reload keeps it, another tab never sees it.
const storageKey = (endpoint: Endpoint) => `regulars-graphiql-session-${endpoint.id}`;

export function loadSession(endpoint: Endpoint): Session | null {
  const stored = sessionStorage.getItem(storageKey(endpoint));
  return stored === null ? null : JSON.parse(stored);
}

export function storeSession(endpoint: Endpoint, session: Session | null): void {
  if (session === null) sessionStorage.removeItem(storageKey(endpoint));
  else sessionStorage.setItem(storageKey(endpoint), JSON.stringify(session));
}
