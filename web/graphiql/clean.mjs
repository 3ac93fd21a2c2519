// The names of built files carry a hash, so old ones would pile up. Vite's own `emptyOutDir`
// cannot be used: the example operations live in the same folder and are written by hand.
import { rmSync } from "node:fs";

rmSync(new URL("../../static/graphiql/assets", import.meta.url), { recursive: true, force: true });
