import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/**
 * GraphiQL loads Prettier's Babel and ESTree plugins (0.54 MB) only to indent the JSON of the
 * variables. jsonc-parser, which is in the bundle anyway, does that with ten lines.
 */
const smallJsonFormatter: Plugin = {
  name: "small-json-formatter",
  transform(code, id) {
    if (!id.endsWith("@graphiql/react/dist/utility/jsonc.js")) return;
    const slim = code
      .replace(/async function formatJSONC\([\s\S]*?\n}\n/, "")
      .replace("export { formatJSONC, ", "export { ");
    if (slim.includes("formatJSONC")) throw new Error("@graphiql/react changed: see jsonc.js.");
    return `export { formatJSONC } from ${JSON.stringify(path("src/format-json.ts"))};\n${slim}`;
  },
};

/**
 * The language worker brings a second Prettier for Monaco's own "Format Document". The page's
 * Prettify command uses the first one and does the same.
 */
const noPrettierInWorker = (): Plugin => ({
  name: "no-prettier-in-worker",
  enforce: "pre",
  resolveId: (id) => (id.startsWith("prettier/") ? path("src/no-prettier.ts") : undefined),
});

export default defineConfig({
  base: "/static/graphiql/",
  publicDir: false,
  plugins: [smallJsonFormatter],
  resolve: {
    alias: {
      "monaco-editor/esm/vs/editor/edcore.main.js": path("src/monaco-core.ts"),
      // The same plugin under its old name: without this it is built in twice.
      "prettier/parser-graphql": "prettier/plugins/graphql",
    },
  },
  worker: { format: "es", plugins: () => [noPrettierInWorker()] },
  build: {
    outDir: path("../../static/graphiql"),
    emptyOutDir: false,
    sourcemap: false,
    // The notices that the licences of the bundled libraries ask for.
    license: { fileName: "assets/licenses.md" },
    // Fonts and icons stay files: the page's policy then needs no `data:` for them.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    // React libraries mark their files "use client", which means nothing here.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
