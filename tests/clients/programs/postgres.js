const fs = require("fs");
const postgres = require("postgres");
const ssl = { ca: fs.readFileSync(process.env.PGSSLROOTCERT) };
const host = process.env.PGHOST.split(",");
const port = process.env.PGPORT.split(",").map(Number);
const first = async (query) => Object.values((await query)[0])[0];
require("./scenario").run((role, token) => {
  // shown: postgres
  const sql = postgres({ host, port, user: role, password: async () => token(), ssl, max: 2 });
  // end
  const session = async () => {
    let query;
    const ask = (text) => first((query = sql.unsafe(text)));
    return { ask, cancel: async () => query.cancel() };
  };
  // The two transactions are of two connections.
  const refresh = (replace, asked) =>
    sql.begin(async (one) => {
      replace();
      const two = await sql.begin((other) => first(other.unsafe(asked)));
      return `${await first(one.unsafe(asked))} ${two}`;
    });
  return { session, refresh, end: () => sql.end() };
});
