import type { Endpoint } from "./endpoint";
import type { SandboxMember, SandboxPartner, SandboxStaff } from "./session";

const MEMBER_SIGN_IN = `mutation SignIn($appId: String!, $jsCode: String!) {
  result: sessionStartWithWechat(input: { appId: $appId, jsCode: $jsCode }) {
    __typename
    ... on SessionStarted { accessToken refreshToken }
    ... on Problem { message }
  }
}`;

const STAFF_SIGN_IN = `mutation SignIn($email: String!, $password: String!) {
  result: staffSessionStart(input: { email: $email, password: $password }) {
    __typename
    ... on SecondFactorRequired { challenge }
    ... on Problem { message }
  }
}`;

const STAFF_SECOND_FACTOR = `mutation Confirm($challenge: String!, $totpCode: String!) {
  result: staffSessionConfirm(input: { challenge: $challenge, totpCode: $totpCode }) {
    __typename
    ... on StaffSessionStarted { accessToken refreshToken }
    ... on Problem { message }
  }
}`;

interface SignInResult {
  __typename: string;
  accessToken?: string;
  challenge?: string;
  message?: string;
}

/** Runs one mutation and gives the field that its success has; a refusal becomes an error. */
async function mutate(
  endpoint: Endpoint,
  query: string,
  variables: Record<string, string>,
  wanted: "accessToken" | "challenge",
): Promise<string> {
  const response = await fetch(endpoint.path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const body: { data?: { result: SignInResult } | null; errors?: { message: string }[] } =
    await response.json();
  const result = body.data?.result;
  const value = result?.[wanted];
  if (value === undefined) {
    throw new Error(body.errors?.[0]?.message ?? result?.message ?? `HTTP ${response.status}`);
  }
  return value;
}

export function signInMember(endpoint: Endpoint, { wechat }: SandboxMember): Promise<string> {
  const variables = { appId: wechat.appId, jsCode: wechat.jsCode };
  return mutate(endpoint, MEMBER_SIGN_IN, variables, "accessToken");
}

export async function signInStaff(endpoint: Endpoint, person: SandboxStaff): Promise<string> {
  const { email, password, totpCode } = person;
  const challenge = await mutate(endpoint, STAFF_SIGN_IN, { email, password }, "challenge");
  return mutate(endpoint, STAFF_SECOND_FACTOR, { challenge, totpCode }, "accessToken");
}

export async function signInPartner({ clientId, clientSecret }: SandboxPartner): Promise<string> {
  // RFC 6749, 2.3.1: id and secret are form-encoded before they are joined for HTTP Basic.
  const credentials = [clientId, clientSecret].map(encodeURIComponent).join(":");
  const response = await fetch("/auth/token", {
    method: "POST",
    headers: { authorization: `Basic ${btoa(credentials)}`, accept: "application/json" },
    body: new URLSearchParams({ grant_type: "client_credentials" }),
  });
  const body: { access_token?: string; error?: string; error_description?: string } =
    await response.json();
  if (body.access_token === undefined) {
    throw new Error(body.error_description ?? body.error ?? `HTTP ${response.status}`);
  }
  return body.access_token;
}
