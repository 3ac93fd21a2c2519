/** What differs between the two endpoints that serve this page. */
export interface Endpoint {
  id: "member" | "admin";
  path: string;
  title: string;
}

const MEMBER: Endpoint = { id: "member", path: "/graphql", title: "Regulars: members" };
const ADMIN: Endpoint = {
  id: "admin",
  path: "/admin/graphql",
  title: "Regulars: staff and partners",
};

/** The endpoint at which this page was opened: the same built file is served at both. */
export function currentEndpoint(): Endpoint {
  return location.pathname.startsWith("/admin/") ? ADMIN : MEMBER;
}
