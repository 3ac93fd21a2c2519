import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";
import type { Endpoint } from "./endpoint";

/** Sends requests over HTTP and subscriptions over WebSocket, both as one signed-in person. */
export function createFetcher(
  endpoint: Endpoint,
  accessToken: string | undefined,
): { fetcher: Fetcher; dispose: () => void } {
  const authorization = accessToken === undefined ? undefined : `Bearer ${accessToken}`;
  const socketUrl = new URL(endpoint.path, location.href);
  socketUrl.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const wsClient = createClient({
    url: socketUrl.href,
    connectionParams: authorization === undefined ? {} : { authorization },
  });
  const fetcher = createGraphiQLFetcher({
    url: endpoint.path,
    wsClient,
    // The server has no @defer: plain JSON answers are all there is to read.
    enableIncrementalDelivery: false,
    fetch: (url, init) => {
      // A header written by hand in the Headers tab wins, whatever its case.
      const headers = new Headers(init?.headers);
      if (authorization !== undefined && !headers.has("authorization")) {
        headers.set("authorization", authorization);
      }
      return fetch(url, { ...init, headers });
    },
  });
  return { fetcher, dispose: () => void wsClient.dispose() };
}
